"""Every error a person can meet: what happened, and what to do about it. Each kind has its own exit code."""

from __future__ import annotations

from typing import ClassVar


class TrackerError(Exception):
    """A failure with a cause a person can act on. `remedy` says how."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, remedy: str = "") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}. {remedy}" if remedy else what)


class ParameterInvalid(TrackerError):
    """An option or environment variable has a value that cannot be used."""

    exit_code = 2


class InputMissing(TrackerError):
    """A file that the stage works on is not there, or is not what the earlier stage writes."""

    exit_code = 10


class NotAVideo(TrackerError):
    """The file cannot be read as a video."""

    exit_code = 11


class FootageDamaged(TrackerError):
    """The video ends too early, or cannot be decoded up to its end."""

    exit_code = 12


class PointsInvalid(TrackerError):
    """The reference points cannot be used: malformed, too few, outside the frame, or without a scale."""

    exit_code = 13


class ReferenceLost(TrackerError):
    """The reference points were lost: frames can no longer be registered."""

    exit_code = 14


class WorkerLost(TrackerError):
    """A process that shared the work was ended from outside."""

    exit_code = 16


class NoVehicles(TrackerError):
    """Nothing that looks like a moving vehicle was found."""

    exit_code = 15


class LanesInvalid(TrackerError):
    """The user's lanes cannot be used: malformed, too short, or they name lanes that were not found."""

    exit_code = 17


class ModelUnusable(TrackerError):
    """The file is no ONNX network, or none that finds vehicles in a layout that is known."""

    exit_code = 20


class PersonNeeded(TrackerError):
    """The stage cannot go on without a person. 75 is what Winslow understands as that."""

    exit_code = 75
