"""The pipelines that a project ran through, and which of them has the stage that a person names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from winslow_dagster.errors import NotFound
from winslow_dagster.pipelines import Pipeline, nearest
from winslow_dagster.projects.domain.run_request import require_stage


@dataclass(frozen=True, slots=True)
class UsedPipeline:
    """A version of a pipeline that a project ran through. `read` raises NotFound, StoreError, PipelineInvalid."""

    name: str
    digest: str
    read: Callable[[], Pipeline]


def newest_versions(used: Sequence[UsedPipeline]) -> tuple[UsedPipeline, ...]:
    """Each pipeline once, in its first version."""
    return tuple(named(used, name)[0] for name in _names(used))


def named(used: Sequence[UsedPipeline], name: str) -> tuple[UsedPipeline, ...]:
    """The versions of that pipeline. Raises NotFound."""
    found = tuple(each for each in used if each.name == name)
    if not found:
        meant = nearest(name, _names(used))
        raise NotFound(
            f"the project has not run through a pipeline {name!r}",
            expected=f"one of {', '.join(_names(used))}",
            remedy=f"Did you mean {meant}?" if meant else "",
        )
    return found


def with_stage(used: Sequence[UsedPipeline], stage: str, name: str | None = None) -> Pipeline:
    """The first one that has the stage; with `name`, of that pipeline. Raises NotFound with the closest match."""
    candidates = used if name is None else named(used, name)
    stages: dict[str, None] = {}
    for each in candidates:
        pipeline = each.read()
        stages |= dict.fromkeys(known.name for known in pipeline.stages)
        if stage in stages:
            return pipeline
    if len(_names(candidates)) == 1:
        require_stage(candidates[0].read(), stage)
    meant = nearest(stage, stages)
    raise NotFound(
        f"none of the project's pipelines ({', '.join(_names(candidates))}) has a stage {stage!r}",
        expected=f"one of {', '.join(stages)}",
        remedy=f"Did you mean {meant}?" if meant else "",
    )


def _names(used: Sequence[UsedPipeline]) -> list[str]:
    return list(dict.fromkeys(each.name for each in used))
