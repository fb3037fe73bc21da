"""Footage: opened, checked and decoded one frame at a time. Memory does not grow with its length."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from tracker.arrays import Picture
from tracker.errors import FootageDamaged, NotAVideo

# A shorter jump is decoded through: to seek means to decode from a key frame again.
SEEK_BEYOND_S = 2.0
BOX_HEADER_BYTES = 8
LONG_BOX_HEADER_BYTES = 16
PLANAR_8_BIT = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray")


@dataclass(frozen=True, slots=True)
class FootageFacts:
    """What the file says of itself. `frames` is 0 where it does not tell."""

    codec: str
    pixel_format: str
    width_px: int
    height_px: int
    rate_fps: float
    duration_s: float
    frames: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One decoded frame. `time_s` counts from the first frame."""

    index: int
    time_s: float
    decoded: av.VideoFrame

    def luma(self) -> Picture:
        """Brightness, height x width, without conversion where the format has it as a plane."""
        if self.decoded.format.name in PLANAR_8_BIT:
            plane = self.decoded.planes[0]
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
            return np.ascontiguousarray(rows[:, : plane.width])
        return self.decoded.reformat(format="gray").to_ndarray()

    def colours(self, width_px: int, height_px: int) -> Picture:
        """Height x width x 3, blue first, resized."""
        return self.decoded.reformat(width_px, height_px, "bgr24", interpolation="AREA").to_ndarray()


class Footage:
    """An open video. Made by `open_footage`."""

    def __init__(self, path: Path, container: av.container.InputContainer) -> None:
        self.path = path
        self.container = container
        self.stream = container.streams.video[0]
        self.stream.thread_type = "AUTO"
        start = self.stream.start_time or 0
        self._start_ticks = start
        self._tick_s = float(self.stream.time_base or 0) or 1.0
        self.facts = self._read_facts()

    def _read_facts(self) -> FootageFacts:
        stream = self.stream
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        duration = stream.duration * self._tick_s if stream.duration else (self.container.duration or 0) / av.time_base
        frames = stream.frames or round(duration * rate)
        if not rate or not stream.codec_context.width or not duration:
            raise NotAVideo(f"{self.path.name} does not say how large, fast or long its picture is")
        return FootageFacts(
            stream.codec_context.name, str(stream.codec_context.pix_fmt), stream.codec_context.width,
            stream.codec_context.height, rate, duration, frames, self.path.stat().st_size,
        )  # fmt: skip

    def frames(self) -> Iterator[VideoFrame]:
        """All frames in order. Raises FootageDamaged where one cannot be decoded, or if the file ends too early."""
        self._seek(0.0)
        index = -1
        for index, frame in enumerate(self._decode()):
            yield VideoFrame(index, self._time_s(frame), frame)
        if index + 1 < 0.98 * self.facts.frames - 1:
            raise FootageDamaged(
                f"{self.path.name} ends after {index + 1} of {self.facts.frames} frames",
                remedy="Copy it from the camera again",
            )

    def frames_at(self, times_s: Iterable[float]) -> Iterator[VideoFrame]:
        """The first frame at or after each of these rising times; their `index` is counted from the frame rate."""
        decoded: Iterator[av.VideoFrame] = iter(())
        now = -np.inf
        frame: av.VideoFrame | None = None
        for time_s in times_s:
            if time_s - now > SEEK_BEYOND_S:
                self._seek(time_s)
                decoded, frame = self._decode(), None
            while frame is None or now < time_s - 0.25 / self.facts.rate_fps:
                following = next(decoded, None)
                if following is None:
                    return
                frame, now = following, self._time_s(following)
            yield VideoFrame(round(now * self.facts.rate_fps), now, frame)

    def _seek(self, time_s: float) -> None:
        """To the key frame at or before a time."""
        self.container.seek(self._start_ticks + int(time_s / self._tick_s), stream=self.stream, backward=True)

    def _decode(self) -> Iterator[av.VideoFrame]:
        count = 0
        try:
            for frame in self.container.decode(self.stream):
                if frame.pts is not None:
                    count += 1
                    yield frame
        except av.error.FFmpegError as error:
            raise FootageDamaged(
                f"{self.path.name} cannot be decoded {count} frames on: {error.strerror}",
                remedy="Copy it from the camera again",
            ) from error

    def _time_s(self, frame: av.VideoFrame) -> float:
        return ((frame.pts or 0) - self._start_ticks) * self._tick_s

    def check_complete(self) -> None:
        """Raises FootageDamaged if the index names bytes beyond the end of the file. Reads no picture."""
        entries = self.stream.index_entries
        missing = [entry for entry in entries if entry.pos + entry.size > self.facts.size_bytes]
        if missing:
            first_s = (missing[0].timestamp - self._start_ticks) * self._tick_s
            raise FootageDamaged(
                f"{self.path.name} is cut off after {first_s:.1f} of {self.facts.duration_s:.1f} s",
                remedy="Copy it from the camera again, or cut it to what is there",
            )


@contextmanager
def open_footage(path: Path) -> Iterator[Footage]:
    """Open a video for decoding. Raises NotAVideo, or FootageDamaged for one that was cut off before its index."""
    try:
        container = av.open(str(path))
    except av.error.FFmpegError as error:
        if _lacks_index(path):
            raise FootageDamaged(
                f"{path.name} is cut off: it has no index (moov), which cameras write last",
                remedy="Copy it from the camera again, or repair it with a tool of the camera's maker",
            ) from error
        raise NotAVideo(
            f"{path.name} is not a video: {error.strerror}", remedy="Expected MP4, MOV, MKV or AVI"
        ) from error
    with container:
        if not container.streams.video:
            raise NotAVideo(f"{path.name} holds no pictures, only {len(container.streams)} other streams")
        yield Footage(path, container)


def _lacks_index(path: Path) -> bool:
    """Whether this is an MP4 without its index: it begins as one, and no top-level box is called moov."""
    size_bytes = path.stat().st_size
    names = []
    with path.open("rb") as file:
        at = 0
        while at + BOX_HEADER_BYTES <= size_bytes:
            file.seek(at)
            length, name = struct.unpack(">I4s", file.read(BOX_HEADER_BYTES))
            names.append(name)
            if length == 1:
                wide = file.read(LONG_BOX_HEADER_BYTES - BOX_HEADER_BYTES)
                length = struct.unpack(">Q", wide)[0] if len(wide) == LONG_BOX_HEADER_BYTES - BOX_HEADER_BYTES else 0
            if length < BOX_HEADER_BYTES:
                break
            at += length
    return names[:1] == [b"ftyp"] and b"moov" not in names
