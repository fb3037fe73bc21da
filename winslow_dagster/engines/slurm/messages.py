"""What agents and the control plane say to each other, as JSON over HTTP. An agent speaks first, always."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

from pydantic import Base64UrlBytes, Field, StringConstraints, TypeAdapter

from winslow_dagster.engines.node_usage import NodeUsage
from winslow_dagster.errors import UsageError
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.stages.task.growing_output import GrowingFile
from winslow_dagster.stages.task.model import NodeGpu, StageResult, StageStatus, StageTask, UsageCurve
from winslow_dagster.storage.manifest import Manifest

PATH = "/api/node/v1"
LARGEST_BYTES = 8 << 20
"""Of one message. An agent sends the log in pieces of a megabyte."""
LogName = Annotated[str, StringConstraints(pattern=r"^([0-9]{12,20}\.(log|log\.zst|left_out)|checkpoint\.json)$")]
NodeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$")]
DirectoryName = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^/\x00]*$")]


def own_version() -> str:
    """The installed version of Winslow: agents and the control plane understand each other if they have the same."""
    try:
        return version("winslow-dagster")
    except PackageNotFoundError:
        return "a source tree"


def version_said(message: bytes) -> tuple[str, str]:
    """Version and node in a first call, also of another version's. Raises UsageError."""
    try:
        said = json.loads(message)
        return str(said["version"]), TypeAdapter(NodeName).validate_python(said["node"])
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"not a first call of an agent: {error!r}") from error


def greeting(task_id: str, submission: int) -> str:
    """What a job proves by munge with its first call: that it is one of this user's, for this submission."""
    return f"agent of {task_id}, submission {submission}"


class Hello(Frozen):
    """An agent has begun. `kept` are the directories of attempts that are still on its node."""

    version: str = Field(default_factory=own_version)
    job_id: str
    node: NodeName
    gpus: tuple[NodeGpu, ...] = ()
    kept: tuple[DirectoryName, ...] = ()


class Order(Frozen):
    """What the agent shall do, as which serving. It may delete `forget`, of those that it named.

    Its later messages bear the `key`.
    """

    task: StageTask
    serving: int
    key: str = ""
    secrets: dict[str, str] = Field(default_factory=dict)
    checkpoint: Manifest | None = None
    cancel: str | None = None
    report_after_s: float = 1.0
    forget: tuple[str, ...] = ()


class LogPiece(Frozen):
    """A part of a file of the log. A file that does not grow takes effect as a whole, with its last piece."""

    name: LogName
    offset: Annotated[int, Field(ge=0)]
    data: Base64UrlBytes
    grows: bool
    last: bool = False


def landed(piece: LogPiece, sizes: Mapping[str, int]) -> bool:
    """Whether the control plane has the piece, going by the sizes of its growing files."""
    return not piece.grows or sizes.get(piece.name) == piece.offset + len(piece.data)


class Written(Frozen):
    """The files that the stage has written so far."""

    files: tuple[GrowingFile, ...] = ()


class Wanted(Frozen):
    """A file of the stage that somebody looks at. The control plane has `offset` bytes of it, which end with `tail`."""

    path: str
    offset: int
    tail: Base64UrlBytes


class LivePiece(Frozen):
    """A part of a file that the stage is writing. With the offset 0, it replaces what the control plane has."""

    path: str
    offset: Annotated[int, Field(ge=0)]
    data: Base64UrlBytes

    @property
    def end(self) -> int:
        """Up to where it goes."""
        return self.offset + len(self.data)


class Report(Frozen):
    """What is new at a serving. `log_names` are all files of its log, which the mirror has with these pieces.

    A result is taken only if all pieces fit: otherwise it comes again with what was missing.
    """

    serving: int
    status: StageStatus | None = None
    usage: UsageCurve | None = None
    node_usage: NodeUsage | None = None
    log: tuple[LogPiece, ...] = ()
    log_names: tuple[LogName, ...] | None = None
    checkpoint: Manifest | None = None
    written: Written | None = None
    live: tuple[LivePiece, ...] = ()
    result: StageResult | None = None


class Reply(Frozen):
    """`sizes` are those of the log's growing files that the report named, as the control plane has them.

    The next report brings what is new of the files that are `wanted`.
    """

    cancel: str | None = None
    wanted: tuple[Wanted, ...] = ()
    sizes: dict[str, int] = Field(default_factory=dict)
    report_after_s: float = 1.0
