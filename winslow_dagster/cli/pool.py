"""`winslow pool`: files that any project may take as an input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from winslow_dagster.projects.inputs.resource_pool import PooledFile


@click.group("pool")
def command() -> None:
    """Manage files that are stored once and used by any project with `--input video=pool:NAME`."""


@command.command("add")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", help="Name in the pool; by default, the file's own name.")
@json_option
def add(path: Path, name: str | None, *, as_json: bool) -> None:
    """Copy PATH into the pool.

    With --json, {name, size_bytes, original_path, added_at, added_by}.
    """
    from winslow_dagster.cli.progress import transfer_bars

    with open_installation() as winslow, transfer_bars("storing") as bars:
        added = winslow.pool.add(path, name, bars)
    if as_json:
        print_json(_plain(added))
    else:
        say(f"{added.name} is in the pool; use it with `--input video=pool:{added.name}`")


@command.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List the files in the pool.

    With --json, {"files": [{name, size_bytes, original_path, added_at, added_by}, …]}.
    """
    from winslow_dagster.formatting import format_size, format_time

    with open_installation() as winslow:
        files = winslow.pool.list()
    if as_json:
        print_json({"files": [_plain(file) for file in files]})
    else:
        print_table(
            ("name", "size", "added", "by", "from"),
            [
                (
                    file.name,
                    format_size(file.manifest.size_bytes),
                    format_time(file.added_at),
                    file.added_by,
                    file.original_path,
                )
                for file in files
            ],
        )


@command.command("check")
@click.argument("name", required=False)
@json_option
def check(name: str | None, *, as_json: bool) -> None:
    """Read the video NAME, or all that nobody has read, to the end: a stage may find what is wrong only hours later.

    The services do that by themselves. With --json, {"videos": [{name, found, problem, checked_at, users}, …]}.
    """
    with open_installation() as winslow:
        checks = winslow.footage_checks
        for file in checks.waiting() if name is None else [winslow.pool.files.file(name)]:
            checks.check(file)
        found = [each for each in checks.videos().videos if name in {None, each.name}]
    if as_json:
        print_json({"videos": [each.model_dump(mode="json") for each in found]})
    else:
        print_table(("name", "found", "problem"), [(each.name, each.found, each.problem or "none") for each in found])


@command.command("remove")
@click.argument("name")
@json_option
def remove(name: str, *, as_json: bool) -> None:
    """Delete NAME from the pool, unless a project uses it.

    With --json, {"name", "freed_bytes"}.
    """
    with open_installation() as winslow:
        freed_bytes = winslow.pool.remove(name)
    if as_json:
        print_json({"name": name, "freed_bytes": freed_bytes})
    else:
        say(f"{name} is no longer in the pool")


def _plain(file: PooledFile) -> dict[str, str | int]:
    return {
        "name": file.name,
        "size_bytes": file.manifest.size_bytes,
        "original_path": file.original_path,
        "added_at": file.added_at.isoformat(),
        "added_by": file.added_by,
    }
