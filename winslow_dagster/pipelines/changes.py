"""What changed from one version of a pipeline to another, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from winslow_dagster.pipelines.model.pipeline import Pipeline, Stage
from winslow_dagster.pipelines.units import format_duration, format_size

NOTHING = "not set"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `stage` is empty for the pipeline itself; `field`, `old` and `new` are as a file has them."""

    kind: Literal["added", "removed", "changed"]
    stage: str = ""
    field: str = ""
    old: str = ""
    new: str = ""

    def __str__(self) -> str:
        whose = f"stage {self.stage}" if self.stage else "pipeline"
        if not self.field:
            return f"{whose} {self.kind}"
        return f"{whose}: {self.field} {self.old} -> {self.new}"


def changes(old: Pipeline, new: Pipeline) -> tuple[Change, ...]:
    """All differences: the pipeline's, each stage's in the order of `new`, then the stages that are gone."""
    return tuple(_changes(old, new))


def _changes(old: Pipeline, new: Pipeline) -> Iterator[Change]:
    yield from _differences("", _flat(old), _flat(new))
    before = {stage.name: stage for stage in old.stages}
    after = {stage.name for stage in new.stages}
    for stage in new.stages:
        if stage.name in before:
            yield from _differences(stage.name, _flat(before[stage.name]), _flat(stage))
        else:
            yield Change("added", stage.name)
    for name in before:
        if name not in after:
            yield Change("removed", name)


def _differences(stage: str, old: dict[str, str], new: dict[str, str]) -> Iterator[Change]:
    for field in [*new, *(field for field in old if field not in new)]:
        before, after = old.get(field, NOTHING), new.get(field, NOTHING)
        if before != after:
            yield Change("changed", stage, field, before, after)


def _flat(value: Pipeline | Stage) -> dict[str, str]:
    """Field as a person writes it -> value as a person writes it: `gpu.memory` -> `8GiB`."""
    return dict(_fields(value, ""))


def _fields(value: BaseModel, prefix: str) -> Iterator[tuple[str, str]]:
    for name in type(value).model_fields:
        item = getattr(value, name)
        # What is read from the log has no name of its own in a file.
        field = "" if name == "log" else f"{prefix}{_surface(name)}"
        if name in {"stages", "name"} or item is None:
            continue
        if isinstance(item, BaseModel):
            yield from _fields(item, f"{field}." if field else "")
        elif isinstance(item, dict):
            for key, inner in item.items():
                if isinstance(inner, BaseModel):
                    yield from _fields(inner, f"{field}.{key}.")
                else:
                    yield f"{field}.{key}", _words(name, inner)
        else:
            yield field, _words(name, item)


def _surface(name: str) -> str:
    return name.removesuffix("_s").removesuffix("_bytes")


def _words(name: str, value: Any) -> str:
    """A value as it might stand in a file."""
    if isinstance(value, tuple):
        return f"[{', '.join(_words(name, item) for item in value)}]"
    if isinstance(value, BaseModel):
        return "{" + ", ".join(f"{field}: {words}" for field, words in _fields(value, "")) + "}"
    if isinstance(value, str):
        return value if name in {"after", "node_tags", "image"} else json.dumps(value, ensure_ascii=False)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _number(name, value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _number(name: str, value: float) -> str:
    if name.endswith("_bytes"):
        return format_size(int(value))
    return format_duration(value) if name.endswith("_s") else str(value).removesuffix(".0")
