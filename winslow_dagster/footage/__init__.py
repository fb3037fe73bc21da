"""Pictures and videos of unknown origin: exact frames and pictures of any size, decoded in confined processes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from winslow_dagster.footage.model import Footage as Footage
    from winslow_dagster.footage.model import FootageCheck as FootageCheck
    from winslow_dagster.footage.model import Picture as Picture
    from winslow_dagster.footage.model import Proxy as Proxy
    from winslow_dagster.footage.model import Strip as Strip
    from winslow_dagster.footage.reader import FootageReader as FootageReader
    from winslow_dagster.footage.source import Source as Source

__all__ = ["Footage", "FootageCheck", "FootageReader", "Picture", "Proxy", "Source", "Strip"]

MODULES = {"FootageReader": "reader", "Source": "source"} | dict.fromkeys(
    ("Footage", "FootageCheck", "Picture", "Proxy", "Strip"), "model"
)


def __getattr__(name: str) -> Any:
    """What is asked for: a decoder's process, which starts for every picture, loads none of it."""
    if name in MODULES:
        return getattr(importlib.import_module(f"{__name__}.{MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
