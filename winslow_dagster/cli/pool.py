"""`winslow pool`: files that any project may take as an input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.action_commands import command_line
from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from winslow_dagster.projects.domain.pool import PooledFile, PoolEntry, PoolSort, TrashedFile

SORTS = ("name", "size", "added", "by", "uses")
EVERYTHING = 1000


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
@click.argument("text", default="")
@click.option("--sort", type=click.Choice(SORTS), default="name", show_default=True, help="What to sort by.")
@click.option("--descending", is_flag=True, help="The largest, the latest or the last first.")
@json_option
def list_(text: str, sort: PoolSort, *, descending: bool, as_json: bool) -> None:
    """List the files in the pool, or those with TEXT in their name or in who added them.

    With --json, {"files": [{id, name, file_name, size_bytes, files, original_path, added_at, added_by, used_by}, …]}.
    `used_by` are projects.
    """
    from winslow_dagster.formatting import format_size, format_time
    from winslow_dagster.projects.domain.pool import PoolQuery

    files: list[PoolEntry] = []
    with open_installation() as winslow:
        while True:
            query = PoolQuery(text=text, sort=sort, descending=descending, limit=EVERYTHING, offset=len(files))
            found = winslow.pool.find(query)
            files += found.files
            if not found.files or len(files) >= found.total:
                break
    if as_json:
        print_json({"files": [file.model_dump(mode="json") for file in files]})
    else:
        print_table(
            ("name", "size", "added", "by", "from", "used by"),
            [
                (
                    file.name,
                    format_size(file.size_bytes),
                    format_time(file.added_at),
                    file.added_by,
                    file.original_path,
                    ", ".join(file.used_by),
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
        for file in checks.waiting() if name is None else [winslow.pool.details(name).file]:
            checks.check(file)
        found = [each for each in checks.videos().videos if name in {None, each.name}]
    if as_json:
        print_json({"videos": [each.model_dump(mode="json") for each in found]})
    else:
        print_table(("name", "found", "problem"), [(each.name, each.found, each.problem or "none") for each in found])


@command.command("show")
@click.argument("name")
@json_option
def show(name: str, *, as_json: bool) -> None:
    """Show which projects and attempts have NAME, and earlier files that it replaced.

    With --json, {file, uses: [{project, input, current, readers: [{stage, number, task_id}, …]}, …], earlier}.
    """
    from winslow_dagster.formatting import format_size, format_time

    with open_installation() as winslow:
        details = winslow.pool.details(name)
    if as_json:
        print_json(details.model_dump(mode="json"))
        return
    file = details.file
    say(
        f"{file.name}: {format_size(file.size_bytes)}, from {file.original_path}, added by {file.added_by} at "
        f"{format_time(file.added_at)}"
    )
    print_table(
        ("project", "input", "current", "attempts that read it"),
        [
            (
                use.project,
                use.input,
                "yes" if use.current else "no",
                ", ".join(f"{reader.stage} {reader.number}" for reader in use.readers),
            )
            for use in details.uses
        ],
    )
    if details.earlier:
        _print_trash(details.earlier)


@command.command("rename")
@click.argument("name")
@click.argument("new_name")
@json_option
def rename(name: str, new_name: str, *, as_json: bool) -> None:
    """Give NAME another name. Projects that have it keep it.

    With --json, {id, name, file_name, size_bytes, files, original_path, added_at, added_by, used_by}.
    """
    with open_installation() as winslow:
        effect = winslow.pool.effect("rename", name)
        renamed = winslow.pool.rename(name, new_name)
    if as_json:
        print_json(renamed.model_dump(mode="json"))
    else:
        say(f"{name} is {renamed.name} now. {effect.text}")


@command.command("replace")
@click.argument("name")
@click.argument("source")
@click.option("--dry-run", is_flag=True, help="Only say what it would mean.")
@json_option
def replace(name: str, source: str, *, dry_run: bool, as_json: bool) -> None:
    """Have SOURCE, a path or `pool:OTHER`, take the place of NAME. The earlier file goes to the trash.

    Projects that have the earlier file keep it, until they are given the new one as their input.
    With --json, the earlier file as in `winslow pool trash`; with --dry-run, {act, name, size_bytes, used_by,
    kept_days, text}.
    """
    from winslow_dagster.cli.progress import transfer_bars

    with open_installation() as winslow:
        effect = winslow.pool.effect("replace", name)
        if not dry_run:
            with transfer_bars("storing") as bars:
                earlier = winslow.pool.replace(name, source, bars)
    if as_json:
        print_json((effect if dry_run else earlier).model_dump(mode="json"))
    else:
        say(effect.text if dry_run else f"{name} is replaced. {effect.text}")


@command.command("remove")
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Only say what it would mean.")
@json_option
def remove(name: str, *, dry_run: bool, as_json: bool) -> None:
    """Delete NAME from the pool. `winslow pool restore` restores it for WINSLOW_TRASH_DAYS days.

    Projects that have it keep it: its content is removed once the time is over and no project has it.
    With --json, the file as in `winslow pool trash`; with --dry-run, {act, name, size_bytes, used_by, kept_days, text}.
    """
    with open_installation() as winslow:
        effect = winslow.pool.effect("remove", name)
        result = effect if dry_run else winslow.pool.remove(name)
    if as_json:
        print_json(result.model_dump(mode="json"))
    elif dry_run:
        say(effect.text)
    else:
        say(f"{name} is no longer in the pool; `{command_line('pool', 'restore', name)}` restores it. {effect.text}")


@command.command("trash")
@json_option
def trash(*, as_json: bool) -> None:
    """List the deleted files of the pool, and when the content of each is removed.

    With --json, {"files": [{id, name, file_name, size_bytes, files, original_path, added_at, added_by, used_by,
    deleted_at, deleted_by, purge_at, replaced_by, purged_at}, …]}.
    """
    with open_installation() as winslow:
        files = winslow.pool.trash()
    if as_json:
        print_json({"files": [file.model_dump(mode="json") for file in files]})
    else:
        _print_trash(files)


@command.command("restore")
@click.argument("file")
@click.option("--name", help="Another name, if a file of the pool has its name by now.")
@json_option
def restore(file: str, name: str | None, *, as_json: bool) -> None:
    """Restore a deleted FILE, by its name or id. If another file took its place, they change places.

    With --json, {id, name, file_name, size_bytes, files, original_path, added_at, added_by, used_by}.
    """
    with open_installation() as winslow:
        restored = winslow.pool.restore(file, name)
    if as_json:
        print_json(restored.model_dump(mode="json"))
    else:
        say(f"{restored.name} is in the pool again")


@command.command("purge")
@click.argument("file")
@json_option
def purge(file: str, *, as_json: bool) -> None:
    """Remove the content of a deleted FILE, by its name or id, for good. Refused while a project has it.

    With --json, {"id", "name", "freed_bytes"}.
    """
    from winslow_dagster.formatting import format_size

    with open_installation() as winslow:
        purged = winslow.pool.purge(file)
    if as_json:
        print_json(purged.model_dump(mode="json"))
    else:
        say(f"removed {purged.name}, and freed {format_size(purged.freed_bytes)}")


def _print_trash(files: tuple[TrashedFile, ...]) -> None:
    from winslow_dagster.formatting import format_size, format_time

    print_table(
        ("deleted file", "id", "size", "deleted", "by", "goes", "used by"),
        [
            (
                file.name,
                file.id,
                format_size(file.size_bytes),
                format_time(file.deleted_at),
                file.deleted_by,
                format_time(file.purge_at),
                ", ".join(file.used_by),
            )
            for file in files
        ],
    )


def _plain(file: PooledFile) -> dict[str, str | int]:
    return {
        "name": file.name,
        "size_bytes": file.manifest.size_bytes,
        "original_path": file.original_path,
        "added_at": file.added_at.isoformat(),
        "added_by": file.added_by,
    }
