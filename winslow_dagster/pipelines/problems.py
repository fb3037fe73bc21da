"""Problems of a YAML file, with their position and a suggestion."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

LONGEST_SHOWN = 60
MOST_BITS_SHOWN = 400
# A file with thousands of stages and as many wrong names would take minutes to compare.
MOST_COMPARED = 300
CONTROL = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
"""What YAML allows only as an escape, such as `\\0` or `\\e`, and halves of a character, which JSON allows."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem of a file. `line` and `column` count from 1; `expected` and `suggestion` may be empty.

    All texts are single printable lines, whatever the file contains.
    """

    file: str
    line: int
    column: int
    what: str
    expected: str = ""
    suggestion: str = ""

    def __post_init__(self) -> None:
        for name in ("what", "expected", "suggestion"):
            object.__setattr__(self, name, printable(getattr(self, name)))

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: {self.what}"
        if self.expected:
            text += f"; expected {self.expected}"
        if self.suggestion:
            text += f"; did you mean {self.suggestion}?"
        return text


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that `word` is probably a misspelling of; empty if there is none, or if too many are known."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    if len(by_folded) > MOST_COMPARED:
        return ""
    matches = difflib.get_close_matches(word[:LONGEST_SHOWN].casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else ""


def shown(value: object) -> str:
    """A value from a file, shortened for a message."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{_short(value)}"'
        case int() if value.bit_length() > MOST_BITS_SHOWN:
            return "a huge number"
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return "empty" if value is None else _short(str(value))


def named(key: object) -> str:
    """A key from a file, quoted for a message."""
    return f"`{_short(str(key))}`"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def printable(text: str) -> str:
    """The text as one line that any terminal and file can hold."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def texts(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """All strings in a JSON value, keys included, with their paths."""
    match value:
        case str():
            yield path, value
        case dict():
            for key, item in value.items():
                yield (*path, key), key
                yield from texts(item, (*path, key))
        case list():
            for index, item in enumerate(value):
                yield from texts(item, (*path, index))
