"""Winslow on Dagster: runs the stages of traffic-video analysis, and loses nothing when anything is killed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from winslow_dagster.api import Winslow as Winslow

__all__ = ["Winslow"]


def __getattr__(name: str) -> Any:
    """The Python API, when it is asked for: the package alone costs nothing to import."""
    if name == "Winslow":
        from winslow_dagster.api import Winslow

        return Winslow
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
