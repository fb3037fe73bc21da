"""What is known about footage, and pictures of it. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Footage(BaseModel):
    """A video, or a still picture, which has one frame.

    `width` and `height` are those of the upright picture in pixels. Frames are counted from 0 in the order in which
    they are shown. `starts_at_s` is the time at which a player shows the first frame; the times of frames count from
    that. `key_frames` are indices of frames that can be decoded alone, at most 1000 of them, evenly chosen.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["video", "picture"]
    container: str
    codec: str
    width: int
    height: int
    frame_count: int
    rate: float
    duration_s: float
    starts_at_s: float
    browser_plays: bool
    key_frames: tuple[int, ...]


class FootageCheck(BaseModel):
    """Whether a video can be read to its end. `problem` says in a sentence what is wrong, and is empty otherwise."""

    model_config = ConfigDict(frozen=True)

    footage: Footage
    problem: str = ""


class Proxy(BaseModel):
    """A copy of a video that every browser plays. `done` is the share of it that is made, from 0 to 1."""

    model_config = ConfigDict(frozen=True)

    state: Literal["none", "running", "ready", "failed"]
    done: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """One frame, or a still picture with the index 0, as a file that every browser shows. Sides in pixels."""

    media_type: str
    content: bytes
    width: int
    height: int
    index: int
    time_s: float


@dataclass(frozen=True, slots=True)
class Strip:
    """Some frames beside each other in one JPEG. `width` and `height` are those of each."""

    content: bytes
    width: int
    height: int
    indices: tuple[int, ...]
    times_s: tuple[float, ...]
