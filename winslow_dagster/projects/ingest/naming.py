"""Project names for ingested files: a template filled in, made valid, and made unique."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import Formatter

from winslow_dagster.projects.domain.model import LONGEST_NAME, valid_name

FIELDS = ("stem", "parent", "date")
DIGEST_LENGTHS = (6, 12, 24)
FALLBACK = "file"


def template_fields(template: str) -> tuple[str, ...]:
    """List the `{fields}` of a template. Raises ValueError with a readable message."""
    fields = []
    for _, name, form, conversion in Formatter().parse(template):
        if name is None:
            continue
        if form or conversion or not name.isidentifier():
            shown = name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
            raise ValueError(f"{{{shown}}} is not a plain field")
        fields.append(name)
    return tuple(fields)


def project_name(template: str, values: Mapping[str, str]) -> str:
    """Fill in the template, and turn the result into a valid project name: see `valid_name`."""
    return valid_name(template.format_map(values)) or FALLBACK


def candidates(name: str, digest: str) -> Iterator[str]:
    """Yield the name, then alternatives that end in more and more of the file's digest.

    The same file always gets the same candidates in the same order.
    """
    yield name
    for length in DIGEST_LENGTHS:
        yield f"{name[: LONGEST_NAME - 1 - length].rstrip('._-')}-{digest[:length]}"
