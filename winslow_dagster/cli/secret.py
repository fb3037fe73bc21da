"""`winslow secret`: values that stages need and nobody sees."""

from __future__ import annotations

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_table, say
from winslow_dagster.cli.streams import hidden_text


@click.group("secret")
def command() -> None:
    """Manage secrets, which pipelines declare as `env: {NAME: {secret: true}}`. No command shows a value."""


@command.command("set")
@click.argument("name")
@json_option
def set_(name: str, *, as_json: bool) -> None:
    """Store the secret NAME, or replace its value, for attempts that start from now on.

    The value is read from stdin, without the line feed at its end; on a terminal, it is asked for.
    With --json, {"name"}.
    """
    value = hidden_text("value")
    with open_installation() as winslow:
        winslow.secrets.set(name, value)
    if as_json:
        print_json({"name": name})
    else:
        say(f"the secret {name} is stored")


@command.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List the secrets.

    With --json, {"secrets": [{name, set_at}, …]}.
    """
    from winslow_dagster.formatting import format_time

    with open_installation() as winslow:
        secrets = winslow.secrets.list()
    if as_json:
        print_json({"secrets": [{"name": each.name, "set_at": each.set_at.isoformat()} for each in secrets]})
    else:
        print_table(("name", "set"), [(each.name, format_time(each.set_at)) for each in secrets])


@command.command("remove")
@click.argument("name")
@json_option
def remove(name: str, *, as_json: bool) -> None:
    """Delete the secret NAME. Stages that are running keep it.

    With --json, {"name"}.
    """
    with open_installation() as winslow:
        winslow.secrets.remove(name)
    if as_json:
        print_json({"name": name})
    else:
        say(f"the secret {name} is removed")
