r"""The filter line of projects: `state:failed tag:ulm -tag:old pipeline:traffic_analysis text`.

Words are separated by spaces. `KEY:VALUE` compares a field, anything else is a text to look for, and a leading `-`
excludes. A value or text in double quotes may have spaces in it; `\` then escapes a quotation mark or itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from winslow_dagster.errors import FilterInvalid
from winslow_dagster.pipelines import nearest
from winslow_dagster.projects.domain.views import ProjectFilter, ProjectMark, ProjectState

FIELDS = {"state": "states", "is": "marks", "tag": "tags", "pipeline": "pipelines", "owner": "owners"}
"""Key -> the field of `ProjectFilter`. A word without a key is one of `texts`."""
KNOWN: dict[str, tuple[str, ...]] = {"states": get_args(ProjectState), "marks": get_args(ProjectMark)}
"""Field -> the values that it can have; those of other fields are free."""
MOST_WORDS = 50
KEY = re.compile(r"([A-Za-z_]+):")
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
PLAIN = re.compile(r"\S+")
ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a filter line. `position` counts its characters from 1, and `length` is that of the whole word."""

    field: str
    value: str
    excludes: bool
    position: int
    length: int


def parse_filter(text: str) -> ProjectFilter:
    """The filter that the line describes. Raises FilterInvalid."""
    if (at := text.find("\0")) >= 0:
        raise FilterInvalid("there is a NUL character", position=at + 1, length=1, expected="text")
    found: dict[str, list[str]] = {}
    for number, word in enumerate(_words(text)):
        if number == MOST_WORDS:
            raise FilterInvalid(
                "there are too many words",
                position=word.position,
                length=len(text) - word.position + 1,
                expected=f"at most {MOST_WORDS}",
            )
        value = _known(word) if word.field in KNOWN else word.value
        values = found.setdefault(f"not_{word.field}" if word.excludes else word.field, [])
        if value not in values:
            values.append(value)
    return ProjectFilter.model_validate(found)


def format_filter(wanted: ProjectFilter) -> str:
    """The line that describes the filter: `parse_filter` makes the same filter of it."""
    words = []
    for key, field in (*FIELDS.items(), ("", "texts")):
        prefix = f"{key}:" if key else ""
        words += [f"{prefix}{_quoted(value, key)}" for value in getattr(wanted, field)]
        words += [f"-{prefix}{_quoted(value, key)}" for value in getattr(wanted, f"not_{field}")]
    return " ".join(words)


def _words(text: str) -> Iterator[Word]:
    at, end = 0, len(text)
    while True:
        while at < end and text[at].isspace():
            at += 1
        if at == end:
            return
        begin = at
        excludes = text[at] == "-" and at + 1 < end and not text[at + 1].isspace()
        at += excludes
        key = KEY.match(text, at)
        if key is not None:
            at = key.end()
            _require_key(key, begin)
        value, at = _value(text, at, begin)
        field = FIELDS[key[1].lower()] if key else "texts"
        if not value:
            raise FilterInvalid(
                f"{text[begin:at]} has no value" if key else "the text is empty",
                position=begin + 1,
                length=at - begin,
                expected=f"a value, such as {_example(field)}" if key else "a text between the quotes",
            )
        yield Word(field, value, excludes, begin + 1, at - begin)


def _value(text: str, at: int, begin: int) -> tuple[str, int]:
    """The value that begins there, and where it ends."""
    if not text.startswith('"', at):
        plain = PLAIN.match(text, at)
        return (plain[0], plain.end()) if plain else ("", at)
    quoted = QUOTED.match(text, at)
    if quoted is None:
        raise FilterInvalid(
            "the quotation mark is not closed", position=at + 1, length=len(text) - at, expected='another " at its end'
        )
    end = quoted.end()
    if end < len(text) and not text[end].isspace():
        raise FilterInvalid(
            "there is no space after the quotation mark", position=begin + 1, length=end - begin, expected="a space"
        )
    return ESCAPED.sub(r"\1", quoted[1]), end


def _require_key(key: re.Match[str], begin: int) -> None:
    name = key[1].lower()
    if name in FIELDS:
        return
    meant = nearest(name, FIELDS)
    raise FilterInvalid(
        f"there is no filter word {key[0]}",
        position=begin + 1,
        length=key.end() - begin,
        expected=", ".join(f"{each}:" for each in FIELDS),
        remedy=f"Did you mean {meant}:?" if meant else "Put a text with a colon in double quotes",
    )


def _known(word: Word) -> str:
    name, known = word.value.lower(), KNOWN[word.field]
    if name in known:
        return name
    meant = nearest(name, known)
    raise FilterInvalid(
        f"there is no state {word.value!r}" if word.field == "states" else f"no project is {word.value!r}",
        position=word.position,
        length=word.length,
        expected=f"one of {', '.join(known)}" if len(known) > 1 else known[0],
        remedy=f"Did you mean {meant}?" if meant else "",
    )


def _example(field: str) -> str:
    key = next(key for key, each in FIELDS.items() if each == field)
    return f"{key}:{'failed' if field == 'states' else KNOWN[field][0] if field in KNOWN else 'NAME'}"


def _quoted(value: str, key: str) -> str:
    unclear = not key and (value.startswith("-") or KEY.match(value))
    if value.startswith('"') or unclear or PLAIN.fullmatch(value) is None:
        return '"{}"'.format(value.replace("\\", "\\\\").replace('"', '\\"'))
    return value
