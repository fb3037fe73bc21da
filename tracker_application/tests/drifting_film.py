"""Small films of a camera that drifts over an image, and the first stages run on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from tracker.cli import main

WIDTH, HEIGHT, RATE_FPS = 640, 360, 20


def ground(seed: int = 1) -> np.ndarray:
    """A ground image larger than the frame."""
    random = np.random.default_rng(seed)
    coarse = random.integers(40, 215, (70, 120, 3), dtype=np.uint8)
    return cv2.resize(coarse, (840, 490), interpolation=cv2.INTER_CUBIC)


def drifting(count: int, seed: int = 1) -> list[np.ndarray]:
    """A camera that moves by a quarter of a pixel per frame."""
    picture = ground(seed)
    return [
        cv2.warpAffine(picture, np.array([[1, 0, -40 - index / 4], [0, 1, -40 - index / 8]]), (WIDTH, HEIGHT))
        for index in range(count)
    ]


def write(  # noqa: PLR0913  a film has as many properties as it has
    path: Path,
    pictures: Sequence[np.ndarray],
    *,
    ticks: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    pixel_format: str = "yuv420p",
    turned_deg: int = 0,
    transfer: int | None = None,
    pixel_aspect: Fraction | None = None,
) -> Path:
    """A film of these images; `ticks` are their times in thousandths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE_FPS)
        height, width = pictures[0].shape[:2]
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = {"preset": "veryfast", "crf": "18", "g": "20", **(options or {})}
        if transfer is not None:
            stream.codec_context.color_trc = transfer
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if turned_deg:
            stream.set_display_rotation(turned_deg)
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = ticks[index] if ticks else index * 1000 // RATE_FPS
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def stage(name: str, outputs: Path, video: Path, *words: str) -> int:
    files = ["--input", str(outputs), "--output", str(outputs / name.replace("-", "_")), "--video", str(video)]
    points = ["--reference-points", str(outputs.parent / "points.json")]
    return main([name, *files, *points, *words])


def begin(outputs: Path, video: Path, *words: str) -> None:
    assert stage("extract-frame", outputs, video, *words) == 0
    assert stage("define-reference-points", outputs, video) == 0


def follow(outputs: Path, video: Path, *words: str) -> int:
    return stage("track-reference-points", outputs, video, *words)


def found(outputs: Path) -> dict[str, Any]:
    return json.loads((outputs / "extract_frame" / "footage.json").read_text())
