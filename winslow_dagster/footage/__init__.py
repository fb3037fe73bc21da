"""Pictures and videos of unknown origin: exact frames and pictures of any size, decoded in confined processes."""

from winslow_dagster.footage.model import Footage, Picture, Proxy, Strip
from winslow_dagster.footage.reader import FootageReader
from winslow_dagster.footage.source import Source

__all__ = ["Footage", "FootageReader", "Picture", "Proxy", "Source", "Strip"]
