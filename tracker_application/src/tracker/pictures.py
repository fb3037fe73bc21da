"""Writes single pictures."""

from __future__ import annotations

from pathlib import Path

import cv2

from tracker.arrays import Picture

JPEG_QUALITY = 95


def write_jpeg(path: Path, picture: Picture) -> None:
    """Write a frame so that a person can mark points on it exactly."""
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
