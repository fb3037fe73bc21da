"""Why a file is not decoded. The text is the whole reason; the parent names the file."""

from __future__ import annotations


class Refusal(Exception):
    """What is wrong with the file, as a sentence without its end, and what was expected instead."""

    def __init__(self, what: str, expected: str = "") -> None:
        self.what = what
        self.expected = expected
        super().__init__(what)
