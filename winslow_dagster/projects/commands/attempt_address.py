"""How a person names an attempt of any project: `PROJECT:STAGE:ATTEMPT`, the attempt by number or task id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from winslow_dagster.errors import InputRejected


@dataclass(frozen=True, slots=True)
class AttemptAddress:
    """One attempt: `attempt` is its number, counted from 1 over all runs, or its task id."""

    project: str
    stage: str
    attempt: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """From its text. Raises InputRejected."""
        parts = text.split(":")
        if len(parts) != 3 or not all(parts):  # noqa: PLR2004  # its three parts
            raise InputRejected(f"{text!r} does not name an attempt", expected="PROJECT:STAGE:ATTEMPT")
        return cls(*parts)
