"""The command that does the same as a button, for people who want to do it in a shell."""

from __future__ import annotations

import shlex

from winslow_dagster.actions import Action, command_words


def command_of(action: Action) -> str:
    """The command line; empty where there is none."""
    words = command_words(action)
    return "" if words is None else command(*words)


def command(*words: str) -> str:
    """These words of the command line, quoted for a shell."""
    return shlex.join(("winslow", *words))
