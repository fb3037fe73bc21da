"""Videos, by FFmpeg: when each frame is shown, and the frame with exactly a certain index."""

from __future__ import annotations

import bisect
import importlib
import os
import pkgutil
import struct
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain, pairwise
from typing import Any, BinaryIO, cast

import av
from av.stream import Discard, Disposition
from av.video.reformatter import Colorspace
from PIL import Image

from winslow_dagster.footage.decoding.files import WithoutFrames
from winslow_dagster.footage.decoding.refusal import Refusal
from winslow_dagster.footage.decoding.stills import check_size, encoded

# Without playlists and streams, which name other files and servers.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,ogg,flv,asf,h264,hevc,av1,obu,ivf,mxf,mjpeg,"
    "yuv4mpegpipe,nut,dv,m4v,vc1,wtv,rm,gif,apng,av1"
)
OPTIONS = {"format_whitelist": CONTAINERS, "protocol_whitelist": "none"}
NEVER_NEEDED = {"av.__main__", "av.datasets"}
UNPARSED = OPTIONS | {"fflags": "+noparse+nofillin"}
"""What packets are is taken from the list of frames, not from their content."""
READ_BYTES = 1 << 18
MOST_FRAMES = 2_000_000
MOST_KEYS_SHOWN = 1000
CHECKED_FRAMES = 40
FRAMES_BEFORE, FRAMES_AFTER = 2, 3
EARLIER_KEYS = 6
"""How many key frames are tried if a frame cannot be decoded from the one before it."""
SEEK_BACK = (0, 1, 3, 8)
HD_LINES = 720
EXPECTED = "a video that FFmpeg reads, such as MP4, MOV, MKV, WebM or AVI"
MP4, MATROSKA = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"
PLAYED = {MP4: {"h264", "vp9", "av1"}, MATROSKA: {"vp8", "vp9", "av1"}}
"""What Chromium, Firefox and Safari play, by container."""
PLAYED_PIXELS = {"yuv420p", "yuvj420p"}
UNKNOWN_COLORSPACES = {0, 2}
"""Of FFmpeg: RGB, which needs none, and unspecified."""
TURNS = {1: Image.Transpose.ROTATE_90, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_270}
HEAD = struct.Struct("<QQ")


def prepare() -> None:
    """Load everything that PyAV would load when it is needed."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if module.name not in NEVER_NEEDED:
            importlib.import_module(module.name)


class Film:
    """An open video. Uses the largest of several streams: some cameras add a small one for previews."""

    def __init__(self, container: av.container.InputContainer) -> None:
        self.container = container
        streams = [each for each in container.streams.video if _area(each)]
        if not streams:
            raise Refusal("it has no video in it that can be decoded", EXPECTED)
        self.stream = max(streams, key=_area)
        check_size(self.stream.width, self.stream.height)
        self.stream.codec_context.thread_count = 2
        self.stream.thread_type = "AUTO"
        for other in container.streams:
            if other is not self.stream:
                other.discard = Discard.all

    def packets(self) -> Iterator[av.Packet[Any]]:
        """The packets from here to the end, or to where the file is damaged."""
        with suppress(av.error.FFmpegError):
            yield from self.container.demux(self.stream)

    def frames(self, packets: Iterator[av.Packet[Any]] | None = None) -> Iterator[av.VideoFrame]:
        """What the packets show, in order. Damaged ones are left out."""
        for packet in self.packets() if packets is None else packets:
            try:
                decoded = packet.decode()
            except (av.error.InvalidDataError, av.error.EOFError):
                continue
            yield from (frame for frame in decoded if isinstance(frame, av.VideoFrame))


def _area(stream: av.VideoStream) -> int:
    cover = stream.codec_context is None or stream.disposition & Disposition.attached_pic
    return 0 if cover else int(stream.width * stream.height)


@contextmanager
def open_film(file: BinaryIO, options: Mapping[str, str] = OPTIONS) -> Iterator[Film]:
    """Open a video. Raises Refusal."""
    file.seek(0)
    try:
        with av.open(file, "r", options=dict(options), metadata_errors="replace", buffer_size=READ_BYTES) as container:
            yield Film(container)
    except (av.error.MemoryError, av.error.BlockingIOError) as error:  # the second where a thread cannot be started
        raise MemoryError from error
    except av.error.FFmpegError as error:
        raise Refusal(f"it cannot be decoded: {(error.strerror or str(error)).lower()}", EXPECTED) from error


def read_film(file: BinaryIO, size_bytes: int) -> tuple[dict[str, Any], bytes]:
    """What is known about the video, and its index: the time of each frame in ticks, and where its key frames are."""
    with open_film(file) as film:
        shown: list[int | None] = []
        upright = (0, 0)
        for frame in film.frames():
            if not shown:
                upright = (frame.height, frame.width) if frame.rotation % 180 else (frame.width, frame.height)
            shown.append(frame.pts)
            if len(shown) == CHECKED_FRAMES:
                break
        if not shown:
            raise Refusal("none of its frames can be decoded", EXPECTED)
        stream = film.stream
        name = film.container.format.name
        codec = stream.codec_context.name
        pixels = stream.codec_context.pix_fmt
        tick_s = float(stream.time_base or 0) or 1.0
        begins_s = (film.container.start_time or 0) / av.time_base
        rate = float(stream.average_rate or stream.guessed_rate or 0)
    times: array[int] = array("q")
    keys: list[tuple[int, int]] = []
    if name == MP4:
        times, keys = _times_of_packets(cast("BinaryIO", WithoutFrames(file, size_bytes)), UNPARSED, shown)
    if not keys:
        times, keys = _times_of_packets(file, OPTIONS, shown)
    if not keys:
        times, tick_s = _times_of_frames(file, tick_s, rate)
    index = HEAD.pack(len(times), len(keys)) + times.tobytes()
    index += array("q", [shown_at for shown_at, _ in keys]).tobytes() + array("q", [at for _, at in keys]).tobytes()
    lasts_s = (times[-1] - times[0]) * tick_s
    measured = (len(times) - 1) / lasts_s if lasts_s > 0 else rate
    positions = sorted({min(bisect.bisect_left(times, at), len(times) - 1) for at, _ in keys} or {0})
    step = -(-len(positions) // MOST_KEYS_SHOWN)
    return {
        "kind": "video",
        "container": name,
        "codec": codec,
        "width": upright[0],
        "height": upright[1],
        "frame_count": len(times),
        "rate": measured,
        "duration_s": lasts_s + (1 / measured if measured else 0.0),
        "starts_at_s": max(0.0, times[0] * tick_s - begins_s),
        "browser_plays": codec in PLAYED.get(name, ()) and pixels in PLAYED_PIXELS,
        "key_frames": positions[::step],
        "tick_s": tick_s,
    }, index


def _times_of_packets(
    file: BinaryIO, options: Mapping[str, str], shown: list[int | None]
) -> tuple[array[int], list[tuple[int, int]]]:
    """When each frame is shown, and (shown, decoded) of the key frames, without decoding. No keys: packets do not tell.

    `shown` are the first frames as they are decoded, which decide whether the packets tell the truth.
    """
    found: list[int] = []
    keys: list[tuple[int, int]] = []
    last: int | None = None
    with open_film(file, options) as film:
        only_keys = True
        for packet in film.packets():
            if packet.size == 0 and packet.pts is None and packet.dts is None:
                continue  # the end
            only_keys = only_keys and packet.is_keyframe
            pts = packet.pts if packet.pts is not None else (packet.dts if only_keys else None)
            if pts is None or packet.dts is None or (last is not None and packet.dts < last):
                return array("q"), []
            last = packet.dts
            if packet.is_keyframe:
                keys.append((pts, packet.dts))
            if not packet.is_discard:
                found.append(pts)
            if len(found) > MOST_FRAMES:
                raise Refusal("it has too many frames", f"at most {MOST_FRAMES:,}")
    found.sort()
    keys.sort()
    decoded = [each for each in shown if each is not None]
    if len(decoded) < len(shown) or len(set(found)) < len(found) or not keys:
        return array("q"), []
    # Pictures at the very beginning may depend on some that are missing, and are not shown.
    known = set(decoded)
    times = array("q", (each for each in found if each > decoded[-1] or each in known))
    if list(times[: len(decoded)]) != decoded:
        return array("q"), []
    return times, keys


def _times_of_frames(file: BinaryIO, tick_s: float, rate: float) -> tuple[array[int], float]:
    """When each frame is shown, by decoding all of them. Frames without times come at an even rate."""
    times: list[int | None] = []
    with open_film(file) as film:
        for frame in film.frames():
            times.append(frame.pts)
            if len(times) > MOST_FRAMES:
                raise Refusal("it has too many frames", f"at most {MOST_FRAMES:,}")
    known = [each for each in times if each is not None]
    if len(known) == len(times) and all(earlier < later for earlier, later in pairwise(known)):
        return array("q", known), tick_s
    return array("q", range(len(times))), 1 / (rate or 25.0)


class Index:
    """The index of a video, read from an open file where it is needed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.count, keys = HEAD.unpack(os.pread(descriptor, HEAD.size, 0))
        at = HEAD.size + 8 * self.count
        self.key_shown, self.key_decoded = (
            array("q", os.pread(descriptor, 8 * keys, at + 8 * keys * n)) for n in (0, 1)
        )

    def ticks(self, index: int) -> int:
        """When the frame is shown."""
        return int(array("q", os.pread(self._descriptor, 8, HEAD.size + 8 * index))[0])


def frames_at(file: BinaryIO, index: Index, wanted: list[int]) -> Iterator[tuple[int, av.VideoFrame]]:
    """The frames with these increasing indices. Raises Refusal if one cannot be decoded."""
    with open_film(file) as film:
        if not index.key_shown:
            yield from _counted(film, wanted)
            return
        decoded: Iterator[av.VideoFrame] = iter(())
        now: int | None = None
        for number in wanted:
            ticks = index.ticks(number)
            key = max(0, bisect.bisect_right(index.key_shown, ticks) - 1)
            frame: av.VideoFrame | None = None
            if now is not None and now >= index.key_shown[key]:
                frame = next((each for each in decoded if each.pts is not None and each.pts >= ticks), None)
            if frame is None or frame.pts != ticks:
                frame, decoded = _found(film, index, key, ticks, number)
            now = ticks
            yield number, frame


def _counted(film: Film, wanted: list[int]) -> Iterator[tuple[int, av.VideoFrame]]:
    """The frames by counting from the beginning."""
    left = iter(wanted)
    next_wanted = next(left, None)
    for number, frame in enumerate(film.frames()):
        while next_wanted == number:
            yield number, frame
            next_wanted = next(left, None)
        if next_wanted is None:
            return
    raise Refusal(f"frame {next_wanted} cannot be decoded")


def _found(
    film: Film, index: Index, key: int, ticks: int, number: int
) -> tuple[av.VideoFrame, Iterator[av.VideoFrame]]:
    """The frame shown at `ticks`, and those that follow, decoded from a key frame or an earlier one."""
    for earlier in sorted({max(0, key - back) for back in range(EARLIER_KEYS)} | {0}, reverse=True):
        decoded = film.frames(_from_key(film, index, earlier))
        for frame in decoded:
            if frame.pts == ticks and not frame.is_corrupt:
                return frame, decoded
            if frame.pts is not None and frame.pts > ticks:
                break
    raise Refusal(f"frame {number} cannot be decoded")


def _from_key(film: Film, index: Index, key: int) -> Iterator[av.Packet[Any]]:
    """The packets from a key frame on. Where a seek ends is not exact: it is repeated until the key frame is ahead."""
    target = index.key_decoded[key]
    for back in SEEK_BACK:
        earlier = index.key_decoded[max(0, key - back)] if back < SEEK_BACK[-1] else index.key_decoded[0]
        with suppress(av.error.FFmpegError):
            film.container.seek(earlier, stream=film.stream, backward=True)
        film.stream.codec_context.flush_buffers()
        packets = film.packets()
        ahead = next((each for each in packets if each.dts is not None), None)
        if ahead is None or (ahead.dts is not None and ahead.dts > target):
            continue
        begun = False
        for packet in chain((ahead,), packets):
            begun = begun or packet.dts == target
            if begun:
                yield packet
        return


def upright(frame: av.VideoFrame, width: int | None) -> Image.Image:
    """The frame as a picture, downscaled if a width is given that is smaller."""
    quarters = frame.rotation // 90 % 4
    if width is not None:
        across = frame.height if quarters % 2 else frame.width
        share = min(1.0, width / across)
        size = max(1, round(frame.width * share)), max(1, round(frame.height * share))
    else:
        size = frame.width, frame.height
    # Players take HD without a colour space for ITU-R 709, FFmpeg for 601.
    unknown = frame.colorspace in UNKNOWN_COLORSPACES
    source = (Colorspace.ITU709 if frame.height >= HD_LINES else Colorspace.ITU601) if unknown else None
    coloured = frame.reformat(*size, "rgb24", src_colorspace=source, interpolation="AREA")
    plane = coloured.planes[0]
    picture = Image.frombuffer("RGB", (coloured.width, coloured.height), bytes(plane), "raw", "RGB", plane.line_size, 1)
    return picture.transpose(TURNS[quarters]) if quarters else picture


def decode_frame(file: BinaryIO, descriptor: int, number: int, width: int | None) -> tuple[dict[str, Any], bytes]:
    """The frame with this index as a JPEG; downscaled, also those beside it, which are likely to be asked for next.

    `beside` has index and length of each; they follow the frame. Raises Refusal.
    """
    index = Index(descriptor)
    beside = range(max(0, number - FRAMES_BEFORE), min(index.count, number + FRAMES_AFTER + 1))
    made: dict[int, tuple[dict[str, Any], bytes]] = {}
    for numbers in (list(beside) if width is not None else [number], [number]):
        if number not in made:
            # A frame beside it that is damaged is of no interest.
            with suppress(Refusal):
                for at, frame in frames_at(file, index, numbers):
                    made[at] = encoded(upright(frame, width), lossy=True, small=width is not None)
    if number not in made:
        raise Refusal(f"frame {number} cannot be decoded")
    head, content = made.pop(number)
    others = [(at, part) for at, (_, part) in made.items()]
    head |= {"bytes": len(content), "beside": [(at, len(part)) for at, part in others]}
    return head, content + b"".join(part for _, part in others)


def decode_strip(file: BinaryIO, descriptor: int, numbers: list[int], width: int) -> tuple[dict[str, Any], bytes]:
    """Some frames beside each other, each this wide, as a JPEG. A frame that cannot be decoded stays black."""
    tiles: dict[int, Image.Image] = {}
    index = Index(descriptor)
    wanted = sorted(set(numbers))
    while wanted:
        try:
            for number, frame in frames_at(file, index, wanted):
                tiles[number] = upright(frame, width)
            break
        except Refusal:
            wanted = [each for each in wanted if each not in tiles][1:]
    if not tiles:
        raise Refusal("none of these frames can be decoded")
    tile = next(iter(tiles.values()))
    strip = Image.new("RGB", (tile.width * len(numbers), tile.height))
    for position, number in enumerate(numbers):
        if number in tiles:
            strip.paste(tiles[number], (position * tile.width, 0))
    head, content = encoded(strip, lossy=True, small=True)
    return head | {"width": tile.width, "height": tile.height}, content
