"""What arrives at the program and leaves it: UTF-8 in any locale, and streams that may be closed, full or narrow."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from winslow_dagster.errors import InputRejected, UsageError
from winslow_dagster.formatting import is_utf8

UTF8_MODE = "PYTHONUTF8"
STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
"""By their file descriptors."""


def use_utf8() -> None:
    """Start the program again if its locale cannot name every file: Python reads the locale only at its start.

    The services inherit the variable.
    """
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get(UTF8_MODE) != "1":
        os.environ[UTF8_MODE] = "1"
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606  # no shell


def open_streams() -> None:
    """Let every character be printed, and print nowhere if there is nowhere to print.

    A closed stream is opened at its descriptor, which the next file, such as a database, would take otherwise.
    """
    for name, mode in STREAMS:
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  # stays open
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def discard_output() -> None:
    """Write no more: the reader has exited, or the disk is full. Python would report it again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def require_utf8(arguments: Sequence[str]) -> None:
    """Raise UsageError for an argument in another encoding: it could neither be stored nor shown."""
    for number, argument in enumerate(arguments, 1):
        if not is_utf8(argument):
            raise UsageError(
                f"argument {number}, {argument!r}, is not UTF-8", remedy="If it is the name of a file, rename the file"
            )


def hidden_text(what: str) -> str:
    """A secret: asked for on a terminal without showing it, otherwise all of stdin but its last line feed.

    Never an argument, which others could see in the list of processes. Raises InputRejected.
    """
    if sys.stdin.isatty():
        asked: str = click.prompt(what, hide_input=True, confirmation_prompt=True)
        return asked
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise InputRejected(f"byte {error.start + 1} is not UTF-8", where="stdin", expected="text in UTF-8") from error
    return text.removesuffix("\n").removesuffix("\r")


def asked_text(what: str) -> str:
    """What the person types on a terminal; nothing where there is none."""
    if not sys.stdin.isatty():
        return ""
    asked: str = click.prompt(what, default="", show_default=False)
    return asked


def text_in(file: Path) -> str:
    """The text of a YAML file that somebody names. What is not UTF-8 stays, so that its line can be told."""
    from winslow_dagster.pipelines.config_file import read_content

    return read_content(file).decode(errors="surrogateescape")
