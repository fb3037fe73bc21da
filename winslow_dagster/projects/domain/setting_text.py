"""Settings of a stage as a person writes them: arguments as for a shell, numbers, sizes, durations."""

from __future__ import annotations

import shlex
from typing import Any

from winslow_dagster.errors import InputRejected
from winslow_dagster.json_text import parse_json

SETTINGS = ("args", "image", "cpus", "memory", "timeout", "gpu")


def read_setting(field: str, text: str) -> Any:
    """The value of one of `SETTINGS`. Arguments may also be a JSON list. Raises InputRejected."""
    try:
        if field == "cpus":
            return float(text)
        if field == "gpu":
            return int(text)
        if field == "args":
            return parse_json(text) if text.startswith("[") else shlex.split(text)
    except ValueError as error:
        expected = {"cpus": "a number", "gpu": "a whole number"}.get(field, "words as for a shell, or a JSON list")
        raise InputRejected(f"{field}={text}: {error}", expected=expected) from error
    return text
