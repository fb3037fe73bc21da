"""The images that pipelines name, and whether a node has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from winslow_dagster.pipelines import Catalogue, references
from winslow_dagster.projects.commands.context import Context

ImageState = Literal["present", "missing", "varies"]


@dataclass(frozen=True, slots=True)
class ImageView:
    """One image. `varies`: its name contains variables of a project or a run."""

    image: str
    pipelines: tuple[str, ...]
    state: ImageState
    size_bytes: int | None = None


def images(context: Context) -> tuple[ImageView, ...]:
    """All images in the order of the pipelines. Raises ServiceUnavailable if containers cannot run."""
    named = _named(context.pipelines())
    sizes = {
        each.name: each.size_bytes for each in context.engine.images([name for name in named if not references(name)])
    }
    views = []
    for image, pipelines in named.items():
        if image not in sizes:
            views.append(ImageView(image, pipelines, "varies"))
        else:
            state: ImageState = "missing" if sizes[image] is None else "present"
            views.append(ImageView(image, pipelines, state, sizes[image]))
    return tuple(views)


def _named(catalogue: Catalogue) -> dict[str, tuple[str, ...]]:
    """Image -> the pipelines that name it."""
    named: dict[str, tuple[str, ...]] = {}
    for name, loaded in catalogue.pipelines.items():
        for image in dict.fromkeys(stage.image for stage in loaded.pipeline.stages if stage.image):
            named[image] = (*named.get(image, ()), name)
    return named
