"""Checks one value of a JSON file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from winslow_dagster.formatting import format_size
from winslow_dagster.json_text import JsonMalformed, parse_json
from winslow_dagster.pipelines.model.output_checks import JsonCheck
from winslow_dagster.pipelines.problems import nearest, shown
from winslow_dagster.stages.checks.findings import CheckFinding, out_of_bounds

LARGEST_FILE_BYTES = 64 << 20
"""Larger files are not checked: JSON has to be read as a whole."""


class PointerMissing(Exception):
    """A JSON pointer does not match the document."""


def check_json(check: JsonCheck, path: Path, name: str) -> CheckFinding:
    """Check the file at `path`; messages call it `name`. Raises OSError."""
    size = path.stat().st_size
    if size > LARGEST_FILE_BYTES:
        limit = format_size(LARGEST_FILE_BYTES)
        return CheckFinding(f"{name} is {format_size(size)} large; JSON files are checked up to {limit}", file=name)
    try:
        data = parse_json(path.read_bytes())
    except JsonMalformed as error:
        return CheckFinding(f"{name} is not valid JSON: {error}", file=name)
    try:
        value = value_at(data, check.pointer)
    except PointerMissing as error:
        return CheckFinding(f"{name}: {error}", file=name)
    place = f"{check.pointer} of {name}" if check.pointer else name
    fault = fault_of(value, check)
    observed: dict[str, str | float] = {}
    if isinstance(value, (str, int, float)):
        observed["value"] = value if is_number(value) else json_text(value)
    return CheckFinding(
        f"{place} is {json_text(value)}, {fault}" if fault else "", f"{place} is {json_text(value)}", name, observed
    )


def fault_of(value: Any, check: JsonCheck) -> str:
    """How a value violates the check; empty if it does not."""
    if check.equals is not None and (
        value != check.equals or isinstance(value, bool) != isinstance(check.equals, bool)
    ):
        return f"not {json_text(check.equals)}"
    if check.min is None and check.max is None:
        return ""
    if not is_number(value):
        return "which is not a number"
    return out_of_bounds(value, check.min, check.max)


def is_number(value: Any) -> bool:
    """Whether the value is a finite number that fits into a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def json_text(value: Any) -> str:
    """A value as it appears in messages."""
    return shown(value) if value is not None else "null"


def value_at(data: Any, pointer: str) -> Any:
    """The value at a JSON pointer (RFC 6901). Raises PointerMissing."""
    value = data
    for count, step in enumerate(pointer.split("/")[1:], 1):
        key = step.replace("~1", "/").replace("~0", "~")
        before = "/".join(pointer.split("/")[:count]) or "the document"
        match value:
            case dict() if key in value:
                value = value[key]
            case dict():
                close = nearest(key, value)
                raise PointerMissing(f"{before} has no {shown(key)}" + (f"; did you mean {close}?" if close else ""))
            case list() if key.isascii() and key.isdigit() and len(key) < 10 and int(key) < len(value):  # noqa: PLR2004 # digits of an index
                value = value[int(key)]
            case list():
                raise PointerMissing(f"{before} is a list of length {len(value)} and has no {shown(key)}")
            case _:
                raise PointerMissing(f"{before} is {json_text(value)} and has no {shown(key)}")
    return value
