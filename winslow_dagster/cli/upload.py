"""`winslow upload`."""

from __future__ import annotations

from pathlib import Path

import click

from winslow_dagster.cli.output import json_option, print_json, say
from winslow_dagster.cli.remote import server_of
from winslow_dagster.errors import UsageError


@click.command("upload")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--name", help="Name in the pool, for one file; by default, the file's own name.")
@click.option(
    "--replace",
    "replaces",
    metavar="NAME",
    help="File of the pool whose place and name it takes, for one file. What that means, `winslow pool replace "
    "--dry-run` says.",
)
@click.option(
    "--to",
    "address",
    envvar="WINSLOW_ADDRESS",
    metavar="ADDRESS",
    help="Server, such as https://winslow.example:3000; by default WINSLOW_ADDRESS, or the services on this machine.",
)
@json_option
def command(
    files: tuple[Path, ...], name: str | None, replaces: str | None, address: str | None, *, as_json: bool
) -> None:
    """Send FILES and directories to the pool of a server. Repeated after an interruption, it goes on where it stopped.

    The token is read from WINSLOW_TOKEN. An upload that was begun in a browser is continued, and the other way round.

    With --json, {"uploads": [{"id", "name", "file_name", "size_bytes", "state", "message", …}, …]}.
    """
    from winslow_dagster.cli.progress import transfer_bars
    from winslow_dagster.client import WinslowClient

    if name is not None and len(files) > 1:
        raise UsageError("--name is for one file", expected="one FILE with --name")
    if replaces is not None and (len(files) > 1 or name is not None):
        raise UsageError("--replace is for one file, which takes the name", expected="one FILE without --name")
    ended = []
    with WinslowClient(*server_of(address)) as winslow, transfer_bars("sending") as bars:
        for path in files:
            sent = bars(path.name, _size_bytes(path)) if bars is not None and path.exists() else None
            ended.append(winslow.uploads.send(path, name, sent, replaces=replaces))
    if as_json:
        print_json({"uploads": [each.model_dump(mode="json") for each in ended]})
        return
    for each in ended:
        if each.state == "stored" and each.replaces is not None:
            say(f"{each.file_name} is in the pool")
        elif each.state == "stored":
            say(f"{each.name} is in the pool; use it with `--input video=pool:{each.name}`")
        else:
            say(f"{each.file_name} is not in the pool: {each.message or each.state}")
        if each.state == "stored" and each.message:
            say(f"  {each.message}")


def _size_bytes(path: Path) -> int:
    """What is sent of it."""
    from winslow_dagster.storage.folder_stream import FolderStream

    return FolderStream(path).size_bytes if path.is_dir() else path.stat().st_size
