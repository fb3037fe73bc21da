"""Small files that look like videos: a few MP4 boxes."""

from __future__ import annotations

import struct


def film(frames: bytes = b"frames") -> bytes:
    """A complete one. Other frames make another film."""
    return _box(b"ftyp", b"isom") + _box(b"mdat", frames) + _box(b"moov", b"index")


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content
