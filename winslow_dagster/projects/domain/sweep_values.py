"""The values that a sweep tries for a variable, as a person writes them: `1, 2, 5` and `0.1..0.5 step 0.1`."""

from __future__ import annotations

import csv
import re
from decimal import Decimal

from winslow_dagster.errors import InputRejected

MAX_COMBINATIONS = 500
LONGEST_TEXT = 20_000
EXPECTED = "a list such as 1, 2, 5 or a range such as 0.1..0.5 step 0.1; a value with a comma in double quotes"

_NUMBER = r"[+-]?(?:[0-9]{1,15}(?:\.[0-9]{1,15})?|\.[0-9]{1,15})"
_RANGE = re.compile(rf"(?P<first>{_NUMBER})\s*\.\.\s*(?P<last>{_NUMBER})(?:\s+step\s+(?P<step>{_NUMBER}))?", re.ASCII)


def read_values(text: str) -> tuple[str, ...]:
    """The values in their order, each once. A range includes its ends, and may go down. Raises InputRejected."""
    if len(text) > LONGEST_TEXT:
        raise InputRejected(f"the values have {len(text)} characters", expected=f"at most {LONGEST_TEXT}")
    found: dict[str, None] = {}
    for written in _items(text):
        found |= dict.fromkeys(_values(written))
        if len(found) > MAX_COMBINATIONS:
            raise InputRejected("these are too many values", expected=f"at most {MAX_COMBINATIONS}")
    return tuple(found)


def _items(text: str) -> list[str]:
    try:
        (row,) = csv.reader([text], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError) as error:
        raise InputRejected("the values cannot be read", expected=EXPECTED) from error
    items = [item.strip() for item in row]
    if not items or not all(items):
        raise InputRejected("a value is empty", expected=EXPECTED)
    return items


def _values(written: str) -> list[str]:
    match = _RANGE.fullmatch(written)
    if match is None:
        return [written]
    first, last = Decimal(match["first"]), Decimal(match["last"])
    if match["step"] is None and (first % 1 or last % 1):
        raise InputRejected(f"the range {written} has no step", expected=EXPECTED)
    step = Decimal(match["step"] or 1)
    if step <= 0:
        raise InputRejected(f"the step of {written} is not positive", expected=EXPECTED)
    if abs(last - first) > step * MAX_COMBINATIONS:
        raise InputRejected(f"the range {written} has too many values", expected=f"at most {MAX_COMBINATIONS}")
    count = int(abs(last - first) / step) + 1
    return [_written(first + number * (step if last >= first else -step)) for number in range(count)]


def _written(number: Decimal) -> str:
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"-0", ""} else text
