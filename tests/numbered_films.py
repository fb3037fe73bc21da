"""Rendered films whose frames carry their number as blocks of black and white, and what reads it back."""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

BITS = 16
BLOCK = 16
WIDTH, HEIGHT = BITS * BLOCK, 4 * BLOCK
TICKS_A_SECOND = 90_000


def numbered(number: int, scale: int = 1) -> np.ndarray:
    """The picture of a frame: its bits as columns, and a light that moves, so that no frame is like another."""
    bits = [(number >> (BITS - 1 - bit)) & 1 for bit in range(BITS)]
    row = np.repeat(np.array(bits, np.uint8) * 215 + 20, BLOCK)
    picture = np.repeat(np.tile(row, (HEIGHT, 1))[:, :, None], 3, axis=2)
    picture[-BLOCK:, (number * 7) % (WIDTH - BLOCK) :][:, :BLOCK] = (200, 60, 30)
    picture[-BLOCK:, :2] = 128
    return np.kron(picture, np.ones((scale, scale, 1), np.uint8))


def number_of(content: bytes) -> int:
    """The number that a frame carries, at any size."""
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
    block = picture.shape[1] / BITS
    row = picture[picture.shape[0] // 4]
    bits = [int(row[int((bit + 0.5) * block)] > 128) for bit in range(BITS)]
    return int("".join(map(str, bits)), 2)


def write_film(  # noqa: PLR0913  # what films differ in, by name
    path: Path,
    frames: int,
    *,
    codec: str = "libx264",
    times_s: Iterable[float] | None = None,
    options: dict[str, str] | None = None,
    rate: int = 25,
    gop: int = 30,
    scale: int = 1,
    noise: bool = False,
) -> Path:
    """A film of numbered frames. Without times, they come at an even rate. With noise, they take much space."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = WIDTH * scale, HEIGHT * scale
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.options = options or {}
        stream.codec_context.gop_size = gop
        if times_s is not None:
            stream.codec_context.time_base = Fraction(1, TICKS_A_SECOND)
        times = list(times_s) if times_s is not None else None
        for number in range(frames):
            picture = numbered(number, scale)
            if noise:
                picture += random.integers(0, 20, picture.shape, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times is None:
                frame.pts, frame.time_base = number, Fraction(1, rate)
            else:
                frame.pts, frame.time_base = round(times[number] * TICKS_A_SECOND), Fraction(1, TICKS_A_SECOND)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
