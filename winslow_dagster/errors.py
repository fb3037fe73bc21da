"""Every error a person can meet. The hierarchy is flat, and each error carries data, not only text."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from typing import Any, ClassVar

from winslow_dagster.actions import Action


class WinslowError(Exception):
    """A failure with a cause a person can act on.

    `what` went wrong, `where`, what was `expected`, and the `remedy`: a sentence, or an action that each door words in
    its own way. `exit_code` is the exit code of the command line.
    """

    exit_code: ClassVar[int] = 1
    more: ClassVar[tuple[str, ...]] = ()
    """The names of what else an error of this class carries."""

    def __init__(self, what: str, *, where: str = "", expected: str = "", remedy: str | Action = "") -> None:
        self.what = what
        self.where = where
        self.expected = expected
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        return self.text(str(self.remedy))

    def text(self, remedy: str) -> str:
        """The whole error in a sentence or two, with the remedy in the words of a door."""
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.expected:
            text += f"; expected {self.expected}"
        if remedy:
            text = f"{text.removesuffix('.')}. {remedy}"
        return text

    @property
    def action(self) -> Action | None:
        """The action that helps, where the remedy is one."""
        return self.remedy if isinstance(self.remedy, Action) else None

    def problem(self) -> dict[str, Any]:
        """The one shape in which errors leave the program as JSON."""
        action = self.action
        return {
            "error": type(self).__name__,
            "what": self.what,
            "where": self.where,
            "expected": self.expected,
            "remedy": str(self.remedy),
            "action": None if action is None else {"name": action.name, "arguments": action.arguments},
            **{name: _plain(getattr(self, name)) for name in self.more},
        }


def _plain(value: Any) -> Any:
    """The value as JSON has it."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


class UsageError(WinslowError):
    """A command line cannot be understood."""

    exit_code = 2


class FilterInvalid(UsageError):
    """A filter of projects cannot be understood. The fault begins at `position` (from 1) and is `length` long."""

    more = ("position", "length")

    def __init__(self, what: str, *, position: int, length: int, expected: str = "", remedy: str | Action = "") -> None:
        self.position = position
        self.length = length
        super().__init__(what, where=f"filter, character {position}", expected=expected, remedy=remedy)


class SettingsInvalid(WinslowError):
    """A WINSLOW_* setting has a value that cannot be used."""

    exit_code = 2


class PipelineInvalid(WinslowError):
    """A pipeline file cannot be used; `problems` lists everything that is wrong with it."""

    exit_code = 3
    more = ("problems",)

    def __init__(
        self, what: str, *, problems: tuple[Any, ...] = (), where: str = "", remedy: str | Action = ""
    ) -> None:
        self.problems = problems
        super().__init__(what, where=where, remedy=remedy)


class WatchFileInvalid(PipelineInvalid):
    """The watch file cannot be used; `problems` lists everything that is wrong with it."""


class NotifyFileInvalid(PipelineInvalid):
    """The notify file cannot be used; `problems` lists everything that is wrong with it."""


class RetentionRulesInvalid(PipelineInvalid):
    """The retention rules of the installation cannot be used; `problems` lists everything that is wrong with them."""


class QuotasInvalid(PipelineInvalid):
    """The file of quotas cannot be used; `problems` lists everything that is wrong with it."""


class VariablesInvalid(PipelineInvalid):
    """The global variables cannot be used; `problems` lists everything that is wrong with them."""


class VariableMissing(WinslowError):
    """A `${VAR}` or `${VAR:?message}` has no value."""

    exit_code = 3


class TemplateMalformed(WinslowError):
    """A string with `${...}` in it cannot be parsed; `position` counts characters from 1."""

    exit_code = 3
    more = ("position",)

    def __init__(self, what: str, *, position: int, where: str = "", expected: str = "") -> None:
        self.position = position
        super().__init__(what, where=where, expected=expected)


class AmountMalformed(WinslowError):
    """A string is not a duration or a size; `suggestion` is what it may have meant, or empty."""

    exit_code = 2
    more = ("suggestion",)

    def __init__(self, what: str, *, expected: str, suggestion: str = "") -> None:
        self.suggestion = suggestion
        super().__init__(what, expected=expected, remedy=f"Did you mean {suggestion}?" if suggestion else "")


class Forbidden(WinslowError):
    """The person may not do this."""

    exit_code = 12


class NotFound(WinslowError):
    """A project, pipeline, stage, file or task that does not exist was asked for."""

    exit_code = 4


class ProjectConflict(WinslowError):
    """The request cannot be carried out in the current state of the project."""

    exit_code = 5


class ProjectDeleted(ProjectConflict):
    """The project was deleted. It can be restored until its files are removed."""


class InputRejected(WinslowError):
    """A project's input is missing, has the wrong kind, or cannot be read."""

    exit_code = 6


class AnswerRejected(InputRejected):
    """An answer to a form is invalid; `faults` has each fault as the field's name and a sentence."""

    def __init__(self, faults: tuple[tuple[str, str], ...]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{field}: {sentence}" for field, sentence in faults), where="the answer")

    def problem(self) -> dict[str, Any]:
        """With each fault."""
        faults = [{"field": field, "message": sentence} for field, sentence in self.faults]
        return {**super().problem(), "faults": faults}


class FootageUnreadable(InputRejected):
    """A picture or a video cannot be decoded, or not within the limits."""


class StoreError(WinslowError):
    """The store could not be read or written, or its content is not what was recorded."""

    exit_code = 7


class NotStorable(StoreError):
    """A file or a directory cannot be stored: a pipe, a device, a link that leads nowhere, an unusable name."""

    exit_code = 6


class StoreUnreachable(StoreError):
    """The store does not respond now; the operation can be repeated later."""


class QuotaExceeded(ProjectConflict):
    """A project, or everything of a person, would take more space than an administrator allows."""


class UploadBusy(ProjectConflict):
    """Another connection is sending the same file."""


class UploadOffsetWrong(ProjectConflict):
    """A part of a file does not begin where the last one ended."""


class UploadEnded(ProjectConflict):
    """A part of a file was sent for an upload that has ended."""


class DiskFull(StoreError):
    """A disk is full."""


class StageFailed(WinslowError):
    """A stage failed."""

    exit_code = 8


class ServiceUnavailable(WinslowError):
    """A service that is needed (the web server, Docker, a database) does not respond."""

    exit_code = 9


class ServiceAway(ServiceUnavailable):
    """The service is there, but does not respond now; the operation can be repeated later."""


class EngineError(WinslowError):
    """A stage runner could not be started, observed or stopped."""

    exit_code = 10


class Fenced(EngineError):
    """A runner that was replaced reports: its task is served by a newer one, or has ended."""


class ImageNotBuilt(WinslowError):
    """A stage image could not be built, or its base image is not available."""

    exit_code = 11


class NotLoggedIn(WinslowError):
    """Somebody has not logged in, or the proof is wrong or has expired."""

    exit_code = 13


class TooManyTries(NotLoggedIn):
    """Somebody tried too often to log in; the next try may come in `wait_s` seconds."""

    more = ("wait_s",)

    def __init__(self, wait_s: int) -> None:
        self.wait_s = wait_s
        super().__init__("too many failed tries", remedy=f"Wait {wait_s} s, then try again")
