"""The places of the console, in the order in which its frame lists them. A new room adds its place here."""

from __future__ import annotations

from dataclasses import dataclass

from winslow_dagster.console.caller import Role


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the navigation. `icon` is a name in `templates/parts/icons.html`."""

    title: str
    path: str
    icon: str
    role: Role = "viewer"
    counter: str = ""
    """Which counter stands beside it: a field of `Counters`."""


PLACES = (
    Place("Needs you", "/", "bell", counter="needs_you"),
    Place("Projects", "/projects", "film"),
    Place("Compare", "/compare", "compare"),
    Place("Files", "/files", "file"),
    Place("Watch folders", "/watch-folders", "inbox", role="operator"),
    Place("Pipelines", "/pipelines", "graph"),
    Place("Queue", "/queue", "queue"),
    Place("Machines", "/machines", "chip"),
    Place("Audit", "/audit", "list"),
    Place("Health", "/health", "pulse"),
    Place("Settings", "/settings", "gear"),
)
