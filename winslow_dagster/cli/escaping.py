"""Shows text of others on a terminal: log lines, reasons, notes and file names may contain anything."""

from __future__ import annotations

import re
import sys

ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that a terminal acts upon instead of showing them: controls except tab and line feed, such as the escape
character, and marks that change the direction of the text around them.
"""


def escaped(text: str) -> str:
    r"""The text with each active character as `\u001b`, as in JSON, so that a JSON document remains the same."""
    return ACTIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def harmless(text: str, *, stderr: bool = False) -> str:
    """The text as it goes to stdout or stderr: escaped on a terminal, unchanged in a file or a pipe."""
    return escaped(text) if (sys.stderr if stderr else sys.stdout).isatty() else text
