"""`winslow quota`: how much space projects and people may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import console, json_option, print_json, print_table, say

if TYPE_CHECKING:
    from winslow_dagster.projects.domain.quotas import QuotaKind

KINDS = click.Choice(("project", "owner"))


@click.group("quota")
def command() -> None:
    """Limit the space of a project, or of everything of a person. `*` is all without a quota of their own."""


@command.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List the quotas, and how much is used.

    Of a quota of `*`, those are listed that have used most of it.
    With --json, {"quotas": [{kind, name, limit_bytes, set_by, set_at}, …], "uses": [{kind, name, owner, limit_bytes,
    used_bytes, growing_bytes, current_state, sentence}, …], file, in_file, fault}. current_state is ok, near (from
    80 %) or over.
    """
    from winslow_dagster.formatting import format_size

    with open_installation() as winslow:
        found = winslow.quotas.overview()
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    if found.fault:
        console().print(found.fault, markup=False)
    if not found.quotas:
        console().print("no quota is in force" if found.fault else "there is no quota")
        return
    print_table(
        ("quota of", "name", "limit", "set by"),
        [(each.kind, each.name, format_size(each.limit_bytes), each.set_by) for each in found.quotas],
    )
    print_table(
        ("used by", "name", "used", "limit", "state"),
        [
            (each.kind, each.name, format_size(each.used_bytes), format_size(each.limit_bytes), each.current_state)
            for each in found.uses
        ],
    )


@command.command("set")
@click.argument("kind", type=KINDS)
@click.argument("name")
@click.argument("limit")
@json_option
def set_(kind: QuotaKind, name: str, limit: str, *, as_json: bool) -> None:
    """Limit the space of a project or an owner to LIMIT, such as 500GiB. Only administrators may.

    With --json, {kind, name, limit_bytes, set_by, set_at}.
    """
    from winslow_dagster.formatting import format_size

    with open_installation() as winslow:
        quota = winslow.quotas.set(kind, name, limit)
    if as_json:
        print_json(quota.model_dump(mode="json"))
    else:
        say(f"the quota of {kind} {name} is {format_size(quota.limit_bytes)}")


@command.command("clear")
@click.argument("kind", type=KINDS)
@click.argument("name")
@json_option
def clear(kind: QuotaKind, name: str, *, as_json: bool) -> None:
    """Remove the quota of a project or an owner: that of `*` applies, if there is one. Only administrators may.

    With --json, {"kind", "name"}.
    """
    with open_installation() as winslow:
        winslow.quotas.clear(kind, name)
    if as_json:
        print_json({"kind": kind, "name": name})
    else:
        say(f"{kind} {name} has no quota of its own any more")
