"""Opens the installation for a command, with the person at the terminal as its actor."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from winslow_dagster import Winslow


def open_installation() -> Winslow:
    """The installation that the WINSLOW_* variables name."""
    from winslow_dagster import Winslow
    from winslow_dagster.projects.domain.actor import Actor

    return Winslow(actor=Actor(via="cli"))
