"""What a project is called that a file became: a template filled in, made safe, and made unique."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from string import Formatter

from winslow_dagster.projects.domain.model import RESERVED_ENDS

FIELDS = ("stem", "parent", "date")
LONGEST = 63
DIGEST_LENGTHS = (6, 12, 24)
NAMELESS = "file"


def template_fields(template: str) -> tuple[str, ...]:
    """The `{fields}` of a template. Raises ValueError, in words, where it cannot be read."""
    fields = []
    for _, name, form, conversion in Formatter().parse(template):
        if name is None:
            continue
        if form or conversion or not name.isidentifier():
            shown = name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
            raise ValueError(f"{{{shown}}} is no plain field")
        fields.append(name)
    return tuple(fields)


def project_name(template: str, values: Mapping[str, str]) -> str:
    """The template with its fields filled in, as something that can be a project's name.

    Accents are dropped, everything else that no name may hold becomes a dash, and what is too long is cut.
    """
    text = unicodedata.normalize("NFKD", template.format_map(values)).encode("ascii", "ignore").decode()
    name = re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._-]+", "-", text)).lstrip("._-")
    name = name[:LONGEST].rstrip("._-")
    while name.endswith(RESERVED_ENDS):
        name = name.rpartition(".")[0].rstrip("._-")
    return name or NAMELESS


def candidates(name: str, digest: str) -> Iterator[str]:
    """The name, and those to take where it is taken: with a part of the digest of what the file is, longer and longer.

    The same file asks for the same names in the same order, however often it is asked again.
    """
    yield name
    for length in DIGEST_LENGTHS:
        yield f"{name[: LONGEST - 1 - length].rstrip('._-')}-{digest[:length]}"
