"""`winslow share`: links by which somebody without an account downloads one file or one folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_line, print_table, say

if TYPE_CHECKING:
    from winslow_dagster.storage.archives import ArchiveFormat


@click.group("share")
def command() -> None:
    """Manage links by which somebody without an account downloads one file or one folder, and sees nothing else.

    Where a command prints a link, --json gives {id, project, name, created_by, created_at, expires_at, revoked_at,
    revoked_by, uses, used_at, used_from}.
    """


@command.command("create")
@click.argument("project", required=False)
@click.option("--stage", help="Only the outputs of this stage.")
@click.option("--attempt", help="With --stage: those of this attempt, by number or task id.")
@click.option("--file", "path", metavar="PATH", help="With --stage: only this file.")
@click.option("--pipeline", metavar="NAME", help="Outputs of this pipeline, which PROJECT ran through.")
@click.option("--pool", metavar="NAME", help="Instead of outputs: a file or directory of the pool.")
@click.option("--format", "form", type=click.Choice(["zip", "tar"]), default="zip", show_default=True)
@click.option("--days", type=float, default=7.0, show_default=True, help="When it expires, after 30 days at most.")
@json_option
def create(  # noqa: PLR0913, PLR0917  # click hands over each option, by name
    project: str | None,
    stage: str | None,
    attempt: str | None,
    path: str | None,
    pipeline: str | None,
    pool: str | None,
    form: ArchiveFormat,
    days: float,
    *,
    as_json: bool,
) -> None:
    """Make a link to the current outputs of PROJECT, or to a part of them, and print it. It cannot be shown again.

    What is shared stays what it is now: results of later runs are not part of it.

    With --json, {"share": link, "address": ADDRESS}.
    """
    if (project is None) == (pool is None):
        raise click.UsageError("name either PROJECT or --pool NAME")
    with open_installation() as winslow:
        if pool is not None:
            new = winslow.shares.create_for_pool(pool, form=form, days=days)
        else:
            assert project is not None  # noqa: S101  # checked above
            new = winslow.shares.create(project, stage, attempt, path=path, pipeline=pipeline, form=form, days=days)
        address = f"{winslow.address}{new.path}"
    if as_json:
        print_json({"share": new.share.model_dump(mode="json"), "address": address})
        return
    say(f"link {new.share.id} to {new.share.name}; this is the only time that it is shown:")
    print_line(address)


@command.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List all links, the newest first.

    With --json, {"shares": [link, …]}.
    """
    from winslow_dagster.formatting import format_time

    with open_installation() as winslow:
        shares = winslow.shares.list(everybody=True)
    if as_json:
        print_json({"shares": [each.model_dump(mode="json") for each in shares]})
        return
    print_table(
        ("id", "file", "project", "by", "expires", "downloads", "last used"),
        [
            (
                str(each.id),
                each.name,
                each.project or "(pool)",
                each.created_by,
                "revoked" if each.revoked_at is not None else format_time(each.expires_at),
                str(each.uses),
                "never" if each.used_at is None else f"{format_time(each.used_at)} from {each.used_from}",
            )
            for each in shares
        ],
    )


@command.command("revoke")
@click.argument("number", metavar="ID", type=int)
@json_option
def revoke(number: int, *, as_json: bool) -> None:
    """End the link with the id ID in the list. Downloads by it end within seconds.

    With --json, the link.
    """
    with open_installation() as winslow:
        revoked = winslow.shares.revoke(number)
    if as_json:
        print_json(revoked.model_dump(mode="json"))
    else:
        say(f"link {number} to {revoked.name} is revoked")
