"""`winslow pool`: files that any project may take as an input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from winslow_dagster.projects.inputs.resource_pool import PooledFile


@click.group("pool")
def command() -> None:
    """Files that are stored once, and that any project takes with `--input video=pool:NAME`."""


@command.command("add")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", help="Its name in the pool; by default, the file's own.")
@json_option
def add(path: Path, name: str | None, *, as_json: bool) -> None:
    """Copy PATH into the pool.

    With --json, {name, size_bytes, original_path, added_at, added_by}.
    """
    from winslow_dagster import Winslow
    from winslow_dagster.cli.progress import transfer_bars
    from winslow_dagster.projects.database.audit import Actor
    from winslow_dagster.projects.inputs.uploads import size_of

    with Winslow(actor=Actor(via="cli")) as winslow:
        with transfer_bars("storing") as bars:
            moved = bars(path.name, size_of(path)) if bars and path.exists() else None
            added = winslow.pool.add(path, name or path.name, winslow.actor.who, moved)
        winslow.audit.note(winslow.actor, "pool_add", None, name=added.name, path=str(path))
    if as_json:
        print_json(_plain(added))
    else:
        say(f"{added.name} is in the pool; `--input video=pool:{added.name}` takes it")


@command.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List what is in the pool.

    With --json, {"files": [{name, size_bytes, original_path, added_at, added_by}, …]}.
    """
    from winslow_dagster import Winslow
    from winslow_dagster.pipelines import format_size

    with Winslow() as winslow:
        files = winslow.pool.files()
    if as_json:
        print_json({"files": [_plain(file) for file in files]})
    else:
        print_table(
            ("name", "size", "added", "by", "from"),
            [
                (
                    file.name,
                    format_size(file.manifest.size_bytes),
                    f"{file.added_at:%Y-%m-%d %H:%M}",
                    file.added_by,
                    file.original_path,
                )
                for file in files
            ],
        )


@command.command("remove")
@click.argument("name")
@json_option
def remove(name: str, *, as_json: bool) -> None:
    """Delete NAME from the pool, where no project has it as an input.

    With --json, {"name", "freed_bytes"}.
    """
    from winslow_dagster import Winslow
    from winslow_dagster.projects.database.audit import Actor

    with Winslow(actor=Actor(via="cli")) as winslow:
        freed_bytes = winslow.pool.remove(name)
        winslow.audit.note(winslow.actor, "pool_remove", None, name=name, freed_bytes=freed_bytes)
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
