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
    also: tuple[str, ...] = ()
    """Pages that are reached from it, and have no place of their own."""
    first: bool = False
    """Whether it has a place of its own on a phone too, where the rest is behind "More"."""

    def has(self, path: str) -> bool:
        """Whether the page at this path belongs to it."""
        return any(path == own or (own != "/" and path.startswith(f"{own}/")) for own in (self.path, *self.also))


PLACES = (
    Place("Needs you", "/", "bell", counter="needs_you", first=True),
    Place("Projects", "/projects", "film", also=("/new-project",), first=True),
    Place("Compare", "/compare", "compare"),
    Place("Files", "/files", "file", also=("/pool", "/trash"), first=True),
    Place("Watch folders", "/watch-folders", "inbox", role="operator"),
    Place("Pipelines", "/pipelines", "graph"),
    Place("Queue", "/queue", "queue", first=True),
    Place("Machines", "/machines", "chip"),
    Place("Audit", "/audit", "list"),
    Place("Health", "/health", "pulse", also=("/space",)),
    Place("Settings", "/settings", "gear"),
)
