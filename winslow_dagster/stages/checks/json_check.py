"""One value of a JSON file, held against its check."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from winslow_dagster.formatting import format_size
from winslow_dagster.pipelines.model.output_checks import JsonCheck
from winslow_dagster.pipelines.problems import nearest, shown
from winslow_dagster.stages.checks.findings import Found, out_of_bounds

LARGEST_FILE_BYTES = 64 << 20
"""JSON is read as a whole."""


class NotThere(Exception):
    """A pointer leads nowhere."""


def checked_json(check: JsonCheck, path: Path, name: str) -> Found:
    """What is found of the file in `path`, which messages call `name`. Raises OSError."""
    size = path.stat().st_size
    if size > LARGEST_FILE_BYTES:
        limit = format_size(LARGEST_FILE_BYTES)
        return Found(f"{name} has {format_size(size)}; JSON files are checked up to {limit}", file=name)
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        return Found(f"{name} is not valid JSON: {error}", file=name)
    try:
        value = at(data, check.pointer)
    except NotThere as error:
        return Found(f"{name}: {error}", file=name)
    place = f"{check.pointer} of {name}" if check.pointer else name
    fault = fault_of(value, check)
    observed: dict[str, str | float] = {}
    if isinstance(value, (str, int, float)):
        observed["value"] = value if is_number(value) else in_words(value)
    return Found(
        f"{place} is {in_words(value)}, {fault}" if fault else "", f"{place} is {in_words(value)}", name, observed
    )


def fault_of(value: Any, check: JsonCheck) -> str:
    """What a value is instead of what it should be, or nothing."""
    if check.equals is not None and (
        value != check.equals or isinstance(value, bool) != isinstance(check.equals, bool)
    ):
        return f"not {in_words(check.equals)}"
    if check.min is None and check.max is None:
        return ""
    if not is_number(value):
        return "which is no number"
    return out_of_bounds(value, check.min, check.max)


def is_number(value: Any) -> bool:
    """Whether it is a finite number that other programs can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def in_words(value: Any) -> str:
    """A value as it is said in a message."""
    return shown(value) if value is not None else "null"


def at(data: Any, pointer: str) -> Any:
    """The value at a JSON pointer (RFC 6901). Raises NotThere."""
    value = data
    for count, step in enumerate(pointer.split("/")[1:], 1):
        key = step.replace("~1", "/").replace("~0", "~")
        before = "/".join(pointer.split("/")[:count]) or "the whole"
        match value:
            case dict() if key in value:
                value = value[key]
            case dict():
                close = nearest(key, value)
                raise NotThere(f"{before} has no {shown(key)}" + (f"; did you mean {close}?" if close else ""))
            case list() if key.isascii() and key.isdigit() and len(key) < 10 and int(key) < len(value):  # noqa: PLR2004 # digits of an index
                value = value[int(key)]
            case list():
                raise NotThere(f"{before} is a list of {len(value)}, and has no {shown(key)}")
            case _:
                raise NotThere(f"{before} is {in_words(value)}, and has no {shown(key)}")
    return value
