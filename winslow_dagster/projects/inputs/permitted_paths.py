"""Which files of the server a person may name as an input: a name is as good as the content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from winslow_dagster.errors import Forbidden
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.inputs.resource_pool import Source
from winslow_dagster.settings import Settings

DEMO = "demo"
"""The directory of the home with the film of the demo."""


def require_permitted(actor: Actor, settings: Settings, sources: Mapping[str, Source]) -> None:
    """Raise Forbidden for a path outside WINSLOW_INPUT_DIRS, unless the actor may read everything anyway.

    The services can read the keys and the database of the installation, which must not become inputs.
    """
    if actor.unlimited:
        return
    home = settings.home.resolve()
    directories = [directory.resolve() for directory in settings.input_dirs]
    for name, source in sources.items():
        if not isinstance(source, Path):
            continue
        real = source.resolve()
        listed = any(real.is_relative_to(directory) for directory in directories) and not real.is_relative_to(home)
        if not listed and not real.is_relative_to(home / DEMO):
            below = [f"a file below {directory}" for directory in directories]
            raise Forbidden(
                f"{actor.who} may not name the file {source} of the server",
                where=name,
                expected=" or ".join(["a file of the pool, as pool:NAME", *below]),
                remedy="An administrator can allow directories with WINSLOW_INPUT_DIRS",
            )
