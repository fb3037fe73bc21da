"""The images that pipelines name, and whether they are on the node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from winslow_dagster.pipelines import Catalogue, references
from winslow_dagster.projects.commands.context import Context


@dataclass(frozen=True, slots=True)
class ImageView:
    """One image. `varies`: its name contains variables of a project or a run."""

    image: str
    pipelines: tuple[str, ...]
    state: Literal["present", "missing", "varies"]
    size_bytes: int | None = None


def images(context: Context) -> tuple[ImageView, ...]:
    """All images in the order of the pipelines. Raises ServiceUnavailable if containers cannot run."""
    from winslow_dagster.stages.launchers.docker.containers import DockerDaemon

    daemon = DockerDaemon.connect()
    views = []
    for image, pipelines in _named(context.pipelines()).items():
        if references(image):
            views.append(ImageView(image, pipelines, "varies"))
        else:
            size_bytes = daemon.image_size_bytes(image)
            views.append(ImageView(image, pipelines, "missing" if size_bytes is None else "present", size_bytes))
    return tuple(views)


def _named(catalogue: Catalogue) -> dict[str, tuple[str, ...]]:
    """Image -> the pipelines that name it."""
    named: dict[str, tuple[str, ...]] = {}
    for name, loaded in catalogue.pipelines.items():
        for image in dict.fromkeys(stage.image for stage in loaded.pipeline.stages if stage.image):
            named[image] = (*named.get(image, ()), name)
    return named
