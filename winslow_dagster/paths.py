"""Paths as people write them: `~` and links are followed as far as they lead somewhere, as in a shell."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """With the home directory in place of `~` or `~user`; pathlib's own raises an error for an unknown user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  # as said above


def resolved(path: str | Path) -> Path:
    """Absolute and without links; pathlib's own raises an error for links in a circle."""
    return Path(os.path.realpath(expanded(path)))
