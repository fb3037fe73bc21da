"""Opens, checks and decodes footage frame by frame. Memory use does not depend on its length."""

from __future__ import annotations

import bisect
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.stream import Disposition

from tracker.arrays import Picture
from tracker.errors import FootageDamaged, NotAVideo

# Without an index, shorter jumps decode all frames in between: a seek has to decode from a key frame anyway.
SEEK_BEYOND_S = 2.0
# A key frame that is less than this ahead is not worth a seek, which also loses the frames that decoder threads hold.
WORTH_A_SEEK_S = 0.25
BOX_HEADER_BYTES = 8
LONG_BOX_HEADER_BYTES = 16
FIRST_BOXES = ([b"ftyp"], [b"wide"], [b"mdat"])
# FFmpeg's names; the others end in _pipe.
PICTURE_FORMATS = {"image2", "ico"}
REWRAP = "If other programs play it, remux it to MP4: ffmpeg -i FILE -c copy film.mp4"
PLANAR_8_BIT = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray")
PLANAR_DEEP = ("yuv420p10le", "yuv420p12le", "yuv422p10le", "yuv422p12le", "yuv444p10le", "yuv444p12le")
PLANAR_420 = ("yuv420p", "yuvj420p", "yuv420p10le", "yuv420p12le")


@dataclass(frozen=True, slots=True)
class FootageFacts:
    """The file's own metadata; sides are those of the upright image. `frames` is 0 if unknown.

    `first_ticks` is the timestamp of the first frame that can be decoded. `turned_deg` is the counter-clockwise
    rotation that makes the image upright. Of an `interlaced` film, every other line is used. `pixel_aspect` is the
    width of a stored pixel divided by its height; images get square ones.
    """

    codec: str
    pixel_format: str
    bit_depth: int
    transfer: int
    width_px: int
    height_px: int
    turned_deg: int
    rate_fps: float
    duration_s: float
    frames: int
    size_bytes: int
    first_ticks: int
    interlaced: bool = False
    pixel_aspect: float = 1.0


@dataclass(frozen=True, slots=True)
class Storage:
    """How a film stores its images: interlaced, and with pixels of this width divided by their height."""

    interlaced: bool = False
    pixel_aspect: float = 1.0

    def square(self, picture: Picture) -> Picture:
        """A plane as an image of square pixels of one moment. The other lines are of another, and left out."""
        if not self.interlaced and self.pixel_aspect == 1:
            return picture
        height, width = picture.shape[:2]
        lines = np.ascontiguousarray(picture[::2]) if self.interlaced else picture
        return cv2.resize(lines, (self.width_px(width), height), interpolation=cv2.INTER_LINEAR)

    def width_px(self, stored_px: int) -> int:
        """The width of an image with square pixels."""
        return round(stored_px * self.pixel_aspect)


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """A decoded frame. `time_s` counts from the first frame; `quarter_turns` counter-clockwise make it upright.

    `stored_as` says how its lines and pixels become an image of square pixels.
    """

    index: int
    time_s: float
    decoded: av.VideoFrame
    quarter_turns: int = 0
    stored_as: Storage = Storage()

    def luma(self) -> Picture:
        """Luma, height x width, without conversion if the format has it as a plane. Read-only."""
        name = self.decoded.format.name
        if name in PLANAR_8_BIT or name in PLANAR_DEEP:
            return self._upright(self.stored_as.square(_plane(self.decoded, 0)))
        return self._upright(self.stored_as.square(self.decoded.reformat(format="gray").to_ndarray()))

    def planes(self) -> tuple[Picture, Picture, Picture]:
        """Luma, and both chroma planes at half the size (4:2:0). Read-only."""
        decoded = self.decoded
        if decoded.format.name not in PLANAR_420:
            decoded = decoded.reformat(format="yuv420p")
        planes = (_plane(decoded, number) for number in range(3))
        first, second, third = (self._upright(self.stored_as.square(plane)) for plane in planes)
        return first, second, third

    def colours(self, width_px: int, height_px: int) -> Picture:
        """Height x width x 3, BGR, resized."""
        size = (height_px, width_px) if self.quarter_turns % 2 else (width_px, height_px)
        if self.stored_as != Storage():
            picture = self.stored_as.square(self.decoded.reformat(format="bgr24").to_ndarray())
            return self._upright(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
        return self._upright(self.decoded.reformat(*size, "bgr24", interpolation="AREA").to_ndarray())

    def _upright(self, picture: Picture) -> Picture:
        return np.ascontiguousarray(np.rot90(picture, self.quarter_turns)) if self.quarter_turns else picture


def _plane(frame: av.VideoFrame, number: int) -> Picture:
    """One plane as bytes, as stored in the frame; deeper ones are rounded to eight bits."""
    plane = frame.planes[number]
    depth = frame.format.components[0].bits
    kind = np.uint16 if depth > 8 else np.uint8  # noqa: PLR2004  bits of a byte
    rows: Picture = np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)[:, : plane.width]
    return rows if kind is np.uint8 else cv2.convertScaleAbs(rows, alpha=2.0 ** (8 - depth))


class Footage:
    """An open video, made by `open_footage`. `damaged_pictures` counts the frames left out so far.

    Uses the largest of several video streams: some cameras add a small preview stream.
    """

    def __init__(
        self, path: Path, container: av.container.InputContainer, threads: int, facts: FootageFacts | None
    ) -> None:
        self.path = path
        self.container = container
        self.stream = max(container.streams.video, key=_area_px)
        self.stream.thread_type = "AUTO" if threads != 1 else "NONE"
        self.stream.codec_context.thread_count = threads
        self.damaged_pictures = 0
        self.tick_s = float(self.stream.time_base or 0) or 1.0
        self.facts = facts or self._read_facts()
        self.start_ticks = self.facts.first_ticks
        begins = self.start_ticks if self.stream.start_time is None else self.stream.start_time
        self.lost_at_start_s = max(0, self.start_ticks - begins) * self.tick_s
        self.quarter_turns = self.facts.turned_deg // 90
        self.stored_as = Storage(self.facts.interlaced, self.facts.pixel_aspect)
        self.seek(self.start_ticks)
        self.damaged_pictures = 0

    def _read_facts(self) -> FootageFacts:
        """What the file says, and its first frame."""
        stream = self.stream
        first = next(self._decode(), None)
        if first is None:
            raise NotAVideo(f"{self.path.name} has no frame that can be decoded and has a timestamp", remedy=REWRAP)
        if first.rotation % 90:
            raise NotAVideo(
                f"the metadata of {self.path.name} specify a rotation of {first.rotation} degrees",
                remedy="Expected 0, 90, 180 or 270; to apply the rotation, run ffmpeg -i FILE turned.mp4",
            )
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        duration = stream.duration * self.tick_s if stream.duration else (self.container.duration or 0) / av.time_base
        frames = stream.frames or round(duration * rate)
        if not rate or not duration:
            raise NotAVideo(f"{self.path.name} does not specify its frame rate or duration", remedy=REWRAP)
        turned_deg = first.rotation % 360
        stored_as = Storage(bool(first.interlaced_frame), float(stream.sample_aspect_ratio or 1))
        sides = (stored_as.width_px(first.width), first.height)
        return FootageFacts(
            stream.codec_context.name, first.format.name, first.format.components[0].bits, int(first.color_trc),
            *(sides[::-1] if turned_deg % 180 else sides), turned_deg,
            rate, duration, frames, self.path.stat().st_size, first.pts or 0,
            stored_as.interlaced, stored_as.pixel_aspect,
        )  # fmt: skip

    def frames(self, from_ticks: int | None = None) -> Iterator[VideoFrame]:
        """All frames in order, or those from a key frame on; skips frames that cannot be decoded."""
        self.seek(self.start_ticks if from_ticks is None else from_ticks)
        for index, frame in enumerate(self._decode()):
            yield VideoFrame(index, self._time_s(frame), frame, self.quarter_turns, self.stored_as)

    def frames_at(self, times_s: Iterable[float]) -> Iterator[VideoFrame]:
        """The first frame at or after each of these increasing times; `index` is derived from the frame rate."""
        decoded: Iterator[av.VideoFrame] = iter(())
        now = -np.inf
        frame: av.VideoFrame | None = None
        keys_s = sorted((ticks - self.start_ticks) * self.tick_s for ticks in self.key_ticks())
        almost_s = 0.25 / self.facts.rate_fps
        for time_s in times_s:
            nearest = bisect.bisect_right(keys_s, time_s) - 1
            key_is_ahead = nearest >= 0 and keys_s[nearest] > now + WORTH_A_SEEK_S
            if key_is_ahead or time_s - now > SEEK_BEYOND_S:
                decoded, frame = self._decode_from(time_s + almost_s), None
            while frame is None or now < time_s - almost_s:
                following = next(decoded, None)
                if following is None:
                    return
                frame, now = following, self._time_s(following)
            index = round(now * self.facts.rate_fps)
            yield VideoFrame(index, now, frame, self.quarter_turns, self.stored_as)

    def _decode_from(self, time_s: float) -> Iterator[av.VideoFrame]:
        """Decode from a key frame at or before a time.

        An index has the times of decoding, which come before those of showing: a seek may end at the next key frame.
        """
        target_s = time_s
        while True:
            self.seek(self.start_ticks + int(target_s / self.tick_s))
            decoded = self._decode()
            first = next(decoded, None)
            if target_s <= 0 or (first is not None and self._time_s(first) <= time_s):
                return chain([] if first is None else [first], decoded)
            target_s -= SEEK_BEYOND_S

    def seek(self, ticks: int) -> None:
        """Seek to the key frame at or before a timestamp; with MPEG-TS it may be the next one. Raises NotAVideo."""
        # Some formats find the first frame only with an earlier target, which others (AVI) reject.
        early = self.start_ticks - int(SEEK_BEYOND_S / self.tick_s)
        for target in (ticks,) if ticks > self.start_ticks else (early, self.start_ticks):
            with suppress(av.error.FFmpegError):
                self.container.seek(target, stream=self.stream, backward=True)
                return
        raise NotAVideo(f"{self.path.name} is not seekable: it has no timestamps", remedy=REWRAP)

    def packets(self) -> Iterator[av.Packet[Any]]:
        """The undecoded packets from here on, up to where the file is cut off."""
        try:
            yield from self.container.demux(self.stream)
        except av.error.FFmpegError:
            self.damaged_pictures += 1

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Only intact frames: after damage, a decoder invents image content until the next key frame."""
        whole, begun = True, False
        for frame in self._decode_all():
            whole = frame is not None and not frame.is_corrupt and (whole or frame.key_frame)
            # Before the first good frame there may be some that depend on an earlier key frame.
            self.damaged_pictures += frame is None or (begun and not whole)
            begun |= whole
            if frame is not None and whole and frame.pts is not None:
                yield frame

    def _decode_all(self) -> Iterator[av.VideoFrame | None]:
        """All frames that the decoder returns; None for a damaged packet."""
        for packet in self.packets():
            try:
                decoded = None if packet.is_corrupt else packet.decode()
            except av.error.FFmpegError:
                decoded = None
            if decoded is None:
                yield None
            else:
                yield from (frame for frame in decoded if isinstance(frame, av.VideoFrame))
        with suppress(av.error.FFmpegError):  # already drained, unless the file is cut off
            yield from self.stream.decode(None)

    def _time_s(self, frame: av.VideoFrame) -> float:
        return ((frame.pts or 0) - self.start_ticks) * self.tick_s

    def key_ticks(self) -> list[int]:
        """Presentation times of the key frames, from the file's index."""
        return [entry.timestamp for entry in self.stream.index_entries if entry.is_keyframe]

    def whole_until_s(self) -> float:
        """The time from which the index points beyond the end of the file; infinite if the file is intact."""
        missing = [entry for entry in self.stream.index_entries if entry.pos + entry.size > self.facts.size_bytes]
        return (missing[0].timestamp - self.start_ticks) * self.tick_s if missing else np.inf


@contextmanager
def open_footage(path: Path, threads: int = 0, facts: FootageFacts | None = None) -> Iterator[Footage]:
    """Open a video for decoding; 0 threads means one per core.

    With the `facts` of an earlier opening, its first frame is not decoded once more.

    Raises NotAVideo, or FootageDamaged if it was cut off before its index.
    """
    if not path.stat().st_size:
        raise NotAVideo(f"{path.name} is empty", remedy="Copy it from the camera again")
    try:
        container = av.open(str(path))
    except av.error.FFmpegError as error:
        if _lacks_index(path):
            raise FootageDamaged(
                f"{path.name} is cut off: it has no index (moov), which cameras write at the end",
                remedy="Copy it from the camera again. If that does not help, the recording was interrupted: many "
                "cameras repair the last recording when switched on with the card inserted; untrunc repairs it with "
                "another video from the same camera",
            ) from error
        raise NotAVideo(
            f"{path.name} is not a video: {error.strerror}", remedy="Expected MP4, MOV, MKV, WebM, AVI or MPEG-TS"
        ) from error
    with container:
        if all(stream.disposition & Disposition.attached_pic for stream in container.streams.video):
            raise NotAVideo(
                f"{path.name} contains no video, only audio or data",
                remedy="Is it an audio recording or a flight log?",
            )
        if set(container.format.name.split(",")) & PICTURE_FORMATS or container.format.name.endswith("_pipe"):
            raise NotAVideo(
                f"{path.name} is a still image", remedy="Expected a video: MP4, MOV, MKV, WebM, AVI or MPEG-TS"
            )
        if not any(map(_area_px, container.streams.video)):
            raise NotAVideo(
                f"{path.name} uses a video codec that cannot be decoded here",
                remedy="Convert it to H.264 or H.265 (HEVC), for example with FFmpeg",
            )
        yield Footage(path, container, threads, facts)


def _area_px(stream: av.VideoStream) -> int:
    """Its frame size; 0 for cover images, and if there is no decoder."""
    covers = stream.codec_context is None or stream.disposition & Disposition.attached_pic
    return 0 if covers else int(stream.width * stream.height)


def _lacks_index(path: Path) -> bool:
    """Whether this is an MP4 file without its index (no top-level moov box)."""
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
    return names[:1] in FIRST_BOXES and b"moov" not in names
