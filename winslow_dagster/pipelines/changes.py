"""What changed from one version of a pipeline to another.

Not a diff of the files: a comment or another order is no change, and a change of `defaults` is one of every stage.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from winslow_dagster.pipelines.model.pipeline import Pipeline, Stage
from winslow_dagster.pipelines.units import written_duration, written_size

NOT_SET = "not set"


def changes(old: Pipeline, new: Pipeline) -> tuple[str, ...]:
    """One line for each difference: the pipeline's, each stage's in the order of `new`, then the removed stages."""
    return tuple(_changes(old, new))


def _changes(old: Pipeline, new: Pipeline) -> Iterator[str]:
    yield from _differences("pipeline", old, new)
    before = {stage.name: stage for stage in old.stages}
    for stage in new.stages:
        if stage.name in before:
            yield from _differences(f"stage {stage.name}", before.pop(stage.name), stage)
        else:
            yield f"stage {stage.name} added"
    yield from (f"stage {name} removed" for name in before)


def _differences(subject: str, old: Pipeline | Stage, new: Pipeline | Stage) -> Iterator[str]:
    before, after = dict(_fields(old, "")), dict(_fields(new, ""))
    for field in [*after, *(field for field in before if field not in after)]:
        left, right = before.get(field, NOT_SET), after.get(field, NOT_SET)
        if left != right:
            yield f"{subject}: {field} {left} -> {right}"


def _fields(value: BaseModel, prefix: str) -> Iterator[tuple[str, str]]:
    """Field and value as a file has them: `gpu.memory`, `8GiB`."""
    for name in type(value).model_fields:
        item = getattr(value, name)
        # In a file, the fields of the log rules are the stage's own.
        field = "" if name == "log" else f"{prefix}{name.removesuffix('_s').removesuffix('_bytes')}"
        if name in {"stages", "name"} or item is None:
            continue
        if isinstance(item, BaseModel):
            yield from _fields(item, f"{field}." if field else "")
        elif isinstance(item, dict):
            for key, inner in item.items():
                if isinstance(inner, BaseModel):
                    yield from _fields(inner, f"{field}.{key}.")
                else:
                    yield f"{field}.{key}", _text(name, inner)
        else:
            yield field, _text(name, item)


def _text(name: str, value: Any) -> str:
    """A value as a file might have it."""
    if isinstance(value, tuple):
        return f"[{', '.join(_text(name, item) for item in value)}]"
    if isinstance(value, BaseModel):
        return "{" + ", ".join(f"{field}: {text}" for field, text in _fields(value, "")) + "}"
    if isinstance(value, str):
        return value if name in {"after", "node_tags", "image"} else json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return json.dumps(value, ensure_ascii=False, default=str)
    if name.endswith("_bytes"):
        return written_size(int(value))
    return written_duration(value) if name.endswith("_s") else str(value).removesuffix(".0")
