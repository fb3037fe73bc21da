"""Opens the installation for a command, with the person at the terminal as its actor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.output import reporter

if TYPE_CHECKING:
    from winslow_dagster import Winslow
    from winslow_dagster.settings import Settings


def open_installation(settings: Settings | None = None) -> Winslow:
    """The installation of `settings`, or that the WINSLOW_* variables name. Says what a start of services waits for."""
    from winslow_dagster import Winslow
    from winslow_dagster.projects.domain.actor import Actor

    quiet = click.get_current_context().params.get("as_json", False)
    return Winslow(settings, Actor(via="cli"), reporter(quiet=quiet))
