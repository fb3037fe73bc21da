"""All errors shown to users: what happened, and what to do. Each kind has its own exit code."""

from __future__ import annotations

from typing import ClassVar


class TrackerError(Exception):
    """A failure that a user can act on; `remedy` says how."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, remedy: str = "") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}. {remedy}" if remedy else what)


class ParameterInvalid(TrackerError):
    """An option or environment variable has an invalid value."""

    exit_code = 2


class InputMissing(TrackerError):
    """An input file is missing, or was not written by the earlier stage."""

    exit_code = 10


class NotAVideo(TrackerError):
    """The file cannot be read as a video."""

    exit_code = 11


class FootageDamaged(TrackerError):
    """The video ends too early, or cannot be decoded completely."""

    exit_code = 12


class PointsInvalid(TrackerError):
    """The reference points are malformed, too few, outside the frame, or give no scale."""

    exit_code = 13


class ReferenceLost(TrackerError):
    """The reference points were lost: frames can no longer be registered."""

    exit_code = 14


class WorkerLost(TrackerError):
    """A worker process was killed."""

    exit_code = 16


class NoVehicles(TrackerError):
    """No moving vehicle was found."""

    exit_code = 15


class LanesInvalid(TrackerError):
    """The user's lanes are malformed or too short, or name lanes that were not detected."""

    exit_code = 17


class ModelUnusable(TrackerError):
    """The file is not an ONNX network, or its outputs have no known vehicle detection layout."""

    exit_code = 20


class PersonNeeded(TrackerError):
    """The stage needs input from a person. Winslow recognises exit code 75."""

    exit_code = 75
