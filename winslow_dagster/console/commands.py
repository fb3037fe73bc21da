"""The command that does the same as a button, for people who want to do it in a shell."""

from __future__ import annotations

import shlex

from winslow_dagster.actions import PROGRAM


def command(*words: str) -> str:
    """These words of the command line, quoted for a shell."""
    return shlex.join((PROGRAM, *words))
