"""The proxy: the whole film, reduced, frame for frame; all later stages read it instead of the film.

It is 1920 pixels wide, or as wide as the network needs for films from high up.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import av
import cv2
import numpy as np

from tracker.arrays import Flags, Floats, Picture
from tracker.contract import StageFiles
from tracker.errors import InputMissing
from tracker.footage import Footage, VideoFrame, open_footage
from tracker.geometry import scaling
from tracker.homographies import read_homographies
from tracker.lens import Lens
from tracker.reference import Frame

PROXY_FILE = "proxy.mp4"
# Identifies the film: later stages see neither the film nor the earlier stages.
FILM_FILE = "film.json"
USUAL_WIDTH_PX = 1920
# The scale that the network searches at: a coarser proxy would lose what the film shows of small vehicles.
NEEDED_PIXEL_M = 0.1
# Fastest x264 preset, one thread and no lookahead: deterministic, and independent per segment. Always pairs of B-frames
# that no other frame refers to: half the size and three quarters of the time at equal quality.
B_FRAMES = 2
ENCODER = {
    "preset": "ultrafast",
    "x264-params": "threads=1:sliced-threads=0:scenecut=0:open-gop=0:sync-lookahead=0:rc-lookahead=0:"
    f"bframes={B_FRAMES}:b-adapt=0:b-pyramid=none:weightb=0",
}


def proxy_size(width_px: int, height_px: int, metres_per_pixel: float) -> tuple[int, int]:
    """The size of a film's proxy: even, and not larger than the film."""
    needed = math.ceil(width_px * metres_per_pixel / NEEDED_PIXEL_M)
    width = min(max(USUAL_WIDTH_PX, needed), width_px) // 2 * 2
    return width, max(2, round(height_px * width / width_px / 2) * 2)


class PieceWriter:
    """Encodes the proxy of one segment, of `size`. A context manager; `film` is a part that begins at `start_s`."""

    def __init__(  # noqa: PLR0913, PLR0917  what it encodes, and how
        self, path: Path, film: Footage, start_s: float, lens: Lens, quality_crf: int, size: tuple[int, int]
    ) -> None:
        self.size = size
        self.container = av.open(str(path), "w", format="mp4")
        rate = Fraction(film.facts.rate_fps).limit_denominator(1001)
        stream = self.container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *self.size, "yuv420p"
        stream.options = {**ENCODER, "crf": str(quality_crf)}
        context, source = stream.codec_context, film.stream.codec_context
        context.gop_size = max(1, round(film.facts.rate_fps))
        context.time_base = film.stream.time_base or Fraction(1, 90_000)
        context.color_range, context.colorspace = source.color_range, source.colorspace
        context.color_primaries, context.color_trc = source.color_primaries, source.color_trc
        self.stream = stream
        # One for all frames: the encoder copies it, and the memory of a new one must be fetched from the system.
        self._picture = av.VideoFrame(*self.size, "yuv420p")
        self.start_ticks = film.start_ticks - round(start_s / film.tick_s)
        width, height = self.size
        self._maps = [lens.maps(width // part, height // part) for part in (1, 2)] if lens.bends else []

    def write(self, frame: VideoFrame) -> None:
        """Add a frame, reduced."""
        picture = self._picture
        for number, source in enumerate(frame.planes()):
            plane = picture.planes[number]
            target = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
            self._reduce(source, target[:, : plane.width], min(number, 1))
        picture.pts = (frame.decoded.pts or 0) - self.start_ticks
        picture.time_base = self.stream.codec_context.time_base
        self.container.mux(self.stream.encode(picture))

    def _reduce(self, source: Picture, target: Picture, kind: int) -> None:
        size = target.shape[1::-1]
        if self._maps:
            small = cv2.resize(source, size, interpolation=cv2.INTER_AREA)
            cv2.remap(small, *self._maps[kind], cv2.INTER_LINEAR, dst=target, borderMode=cv2.BORDER_REPLICATE)
        elif source.shape == target.shape:
            np.copyto(target, source)
        else:
            cv2.resize(source, size, dst=target, interpolation=cv2.INTER_AREA)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file; after an error, close it as it is."""
        if kind is None:
            self.container.mux(self.stream.encode(None))
        self.container.close()


def join_pieces(pieces: Sequence[Path], frames: int, path: Path) -> None:
    """Concatenate the pieces without re-encoding.

    Keeps the first `count` frames, and at most one more: a frame may refer to one that is shown after it.
    """
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as whole:
        stream: Any = None
        written, last_shown = 0, None
        for piece in pieces:
            with av.open(str(piece)) as part:
                if stream is None:
                    stream = whole.add_stream_from_template(part.streams.video[0])
                packets = [packet for packet in part.demux(part.streams.video[0]) if packet.dts is not None]
                needed = _up_to(packets, frames - written)
                if needed and last_shown is not None:
                    # The first frame of a piece is decoded while the last frame before it is shown; the piece could not
                    # know when.
                    needed[0].dts = last_shown
                for packet in needed:
                    last_shown = max(last_shown or 0, packet.pts or 0)
                    packet.stream = stream
                    whole.mux(packet)
                written += len(packets)


def _up_to(packets: list[av.Packet[Any]], frames: int) -> list[av.Packet[Any]]:
    """The packets, in decoding order, needed to show the first frames."""
    shown = sorted(packet.pts for packet in packets if packet.pts is not None)[: max(0, frames)]
    needed = [
        at for at, packet in enumerate(packets, 1) if shown and packet.pts is not None and packet.pts <= shown[-1]
    ]
    return packets[: max(needed, default=0)]


@dataclass(frozen=True, eq=False)
class Proxy:
    """An open proxy, made by `open_proxy`.

    `times_s` and `matrices` (n x 3 x 3) are those of the homographies, one per frame. `factor` is the proxy width
    divided by the width of the reference frame, whose pixels all tables use. The matrix of a frame that is not
    `registered` is not its own.
    """

    footage: Footage
    reference: Frame
    times_s: Floats
    matrices: Floats
    registered: Flags

    @property
    def width_px(self) -> int:
        """Of the proxy."""
        return self.footage.facts.width_px

    @property
    def height_px(self) -> int:
        """Of the proxy."""
        return self.footage.facts.height_px

    @property
    def rate_fps(self) -> float:
        """Average frames per second."""
        return self.footage.facts.rate_fps

    @property
    def factor(self) -> float:
        """Proxy width / width of the reference frame."""
        return self.width_px / self.reference.width_px

    @property
    def from_reference(self) -> Floats:
        """3 x 3: full-size pixels to pixels of the proxy."""
        return scaling(self.factor)

    def frames(self) -> Iterator[VideoFrame]:
        """All frames in order; `index` is that of the film."""
        return self.frames_at(range(len(self.times_s)))

    def frames_at(self, indices: Iterable[int]) -> Iterator[VideoFrame]:
        """The frames with these increasing indices; skips or seeks over the frames in between.

        Of the frames in between, only those are decoded that frames of the wanted kind refer to.

        Raises InputMissing if the proxy ends early.
        """
        wanted = list(indices)
        self.footage.stream.codec_context.skip_frame = self._skipped(wanted)
        ticks = self._ticks
        beyond = 2 * max(1, round(self.rate_fps))
        decoded: Iterator[VideoFrame] = iter(())
        frame: VideoFrame | None = None
        at = -beyond
        for index in wanted:
            if index - at >= beyond:
                decoded, at = self.footage.frames(int(ticks[index])), -1
            while at < index:
                frame = next(decoded, None)
                if frame is None:
                    break
                at = int(np.searchsorted(ticks, (frame.decoded.pts or 0) - 0.5))
            if frame is None or at != index:
                raise InputMissing(
                    f"{self.footage.path.name} has no frame {index}", remedy="Redo track_reference_points"
                )
            yield VideoFrame(index, float(self.times_s[index]), frame.decoded)

    def _skipped(self, wanted: list[int]) -> Literal["NONKEY", "NONREF", "DEFAULT"]:
        """FFmpeg's name of the frames that need not be decoded."""
        if np.isin(wanted, self.key_rows).all():
            return "NONKEY"
        return "NONREF" if np.isin(wanted, self.referred_rows).all() else "DEFAULT"

    @cached_property
    def key_rows(self) -> list[int]:
        """Rows of the key frames."""
        # The index has decoding times: when the previous frame is shown.
        return sorted(set(np.searchsorted(self._ticks, self.footage.key_ticks(), side="right").tolist()))

    @cached_property
    def _ticks(self) -> Floats:
        """The presentation time of each frame, in the proxy's time base."""
        ticks: Floats = np.round(self.times_s / self.footage.tick_s).astype(np.int64) + self.footage.start_ticks
        return ticks

    @cached_property
    def referred_rows(self) -> list[int]:
        """The frames that others refer to, as the encoder is set to arrange them."""
        borders = [*self.key_rows, len(self.times_s)]
        return [row for first, end in pairwise(borders) for row in range(first, end, B_FRAMES + 1)]


@contextmanager
def open_proxy(files: StageFiles, threads: int = 0) -> Iterator[Proxy]:
    """Open the proxy written by track_reference_points; 0 threads means one per core.

    Raises InputMissing if it is missing or does not match.
    """
    table, matrices = read_homographies(files.upstream("track_reference_points", "homographies.csv"))
    film = json.loads(files.upstream("track_reference_points", FILM_FILE).read_text(encoding="utf-8"))
    reference = Frame(**film["reference_frame"])
    with open_footage(files.upstream("track_reference_points", PROXY_FILE), threads) as footage:
        if footage.facts.frames < len(matrices):
            raise InputMissing(
                f"{PROXY_FILE} has {footage.facts.frames} frames, but homographies.csv has {len(matrices)}",
                remedy="Redo track_reference_points",
            )
        yield Proxy(footage, reference, table["time_s"], matrices, table["registered"] == 1)
