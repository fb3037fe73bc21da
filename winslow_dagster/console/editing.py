"""Which files can be edited as text in a browser without changing anything else of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

MOST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class EditableText:
    """The text of a file. `crlf`: its lines end as in Windows; a browser's field has them end with a line feed."""

    text: str
    crlf: bool


def editable_text(file: BinaryIO, size_bytes: int) -> EditableText | None:
    """The whole text; None for what is larger, no UTF-8, or would come back from a browser as something else."""
    if size_bytes > MOST_BYTES:
        return None
    try:
        text = file.read(MOST_BYTES + 1).decode("utf-8")
    except UnicodeDecodeError:
        return None
    crlf = "\r\n" in text
    lines = text.replace("\r\n", "\n") if crlf else text
    mixed = crlf and text.count("\n") != text.count("\r\n")
    if "\r" in lines or "\0" in lines or mixed:
        return None
    return EditableText(lines, crlf)
