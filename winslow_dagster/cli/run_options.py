"""What options say of variables and stages: `NAME=VALUE`, `STAGE.FIELD=VALUE`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from winslow_dagster.cli.output import say
from winslow_dagster.errors import InputRejected
from winslow_dagster.projects.domain.setting_text import SETTINGS, read_setting

if TYPE_CHECKING:
    from winslow_dagster.projects.installation import Installation

Command = TypeVar("Command", bound=Callable[..., Any])

pipeline_option = click.option(
    "--pipeline",
    metavar="NAME",
    help="Pipeline of the stage, if PROJECT ran through several with a stage of that name; by default, its own or the "
    "one that ran last.",
)


def secret_option(whose: str) -> Callable[[Command], Command]:
    """`--secret NAME=SECRET`, for `variables`; `whose` says what the variable belongs to."""
    about = f"Variable of {whose} whose value is a stored secret."
    return click.option("--secret", "secrets", multiple=True, metavar="NAME=SECRET", help=about)


def pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    """`NAME=VALUE` texts as a mapping. Raises InputRejected."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputRejected(f"{option} {text!r} is not a pair", expected="NAME=VALUE")
        found[name] = value
    return found


def warn_of_damage(winslow: Installation, inputs: dict[str, str]) -> None:
    """Say what was found to be wrong with inputs that are videos of the pool."""
    for name, given in inputs.items():
        if damage := winslow.footage_checks.damage(given):
            say(f"warning: input {name}, {given}: {damage}")


def variables(texts: tuple[str, ...], secrets: tuple[str, ...]) -> dict[str, Any]:
    """The variables of `--env NAME=VALUE` and `--secret NAME=SECRET`. Raises InputRejected."""
    return {**pairs(texts, "--env"), **{name: {"secret": of} for name, of in pairs(secrets, "--secret").items()}}


def stage_settings(changes: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """`STAGE.FIELD=VALUE` texts as the settings of stages. Raises InputRejected."""
    settings: dict[str, dict[str, Any]] = {}
    for path, value in pairs(changes, "--set").items():
        stage, _, field = path.partition(".")
        changed = settings.setdefault(stage, {})
        if field.startswith("env.") and field != "env.":
            changed.setdefault("env", {})[field.removeprefix("env.")] = value
        elif field in SETTINGS:
            changed[field] = read_setting(field, value)
        else:
            raise InputRejected(
                f"--set {path}={value} names no setting of a stage",
                expected=f"STAGE.env.NAME=VALUE, or STAGE.FIELD=VALUE with one of {', '.join(SETTINGS)}",
            )
    return settings
