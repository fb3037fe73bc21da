"""Small files that are films to whoever looks at them: a few boxes of an MP4."""

from __future__ import annotations

import struct


def film(frames: bytes = b"frames") -> bytes:
    """A whole one. Other frames are another film."""
    return _box(b"ftyp", b"isom") + _box(b"mdat", frames) + _box(b"moov", b"index")


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content
