"""What an agent reports: whatever is new in the directory of its serving since the control plane last heard of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from winslow_dagster.engines.node_usage import NodeUsage
from winslow_dagster.engines.slurm.control_plane import ControlPlane
from winslow_dagster.engines.slurm.job_environment import JobFacts
from winslow_dagster.engines.slurm.live_files import pieces_of, written_in
from winslow_dagster.engines.slurm.messages import LogPiece, Reply, Report, Wanted, Written, landed
from winslow_dagster.stages.log.segments import CHECKPOINT, NAME, OPEN
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import StageResult, StageStatus
from winslow_dagster.storage.manifest import Manifest

Value = TypeVar("Value", StageStatus, StageResult)

PIECE_BYTES = 1 << 20
USAGE_EVERY_S = 10.0
USAGE_AFTER_S = 1.0
"""When a stage has run for so long, its node's usage is reported first: before, that would only delay its start."""


class Reporter:
    """Reports one serving, under the names of task and node that people know."""

    def __init__(
        self,
        plane: ControlPlane,
        directory: TaskDirectory,
        usage: Callable[[], NodeUsage],
        serving: int,
        job: JobFacts,
    ) -> None:
        """`usage` says what is in use on the node."""
        self._plane = plane
        self._directory = directory
        self._usage = usage
        self._serving = serving
        self._own = {"task_id": job.task_id, "node": job.node}
        self._sent: dict[str, int] = {}
        """By file of the log: how much of it the control plane has."""
        self._whole: dict[str, int] = {}
        """By file that does not grow: the time of the version that the control plane has."""
        self._versions: dict[str, int] = {}
        """The same of the version that was read last."""
        self._names: tuple[str, ...] = ()
        self._said: dict[str, str] = {}
        self._files_due_s = time.monotonic()
        self._usage_due_s = self._files_due_s + USAGE_AFTER_S
        self._wanted: tuple[Wanted, ...] = ()
        self._written: Written | None = None

    def report(self, result: StageResult | None = None, checkpoint: Manifest | None = None) -> Reply:
        """Say everything that is new, the result last. Raises Fenced, ControlPlaneAway, EngineError."""
        while True:
            pieces, names, whole = self._log()
            if not whole:
                self._note(pieces, self._say(Report(serving=self._serving, log=pieces)))
                continue
            status, usage = self._known_as(self._directory.status()), self._directory.usage()
            node_usage, written = (None, None) if result else self._now_and_then()
            said = {name: value.model_dump_json() for name, value in (("status", status), ("usage", usage)) if value}
            reply = self._say(
                Report(
                    serving=self._serving,
                    status=status if said.get("status") != self._said.get("status") else None,
                    usage=usage if said.get("usage") != self._said.get("usage") else None,
                    node_usage=node_usage,
                    written=written if written != self._written else None,
                    live=() if result else tuple(pieces_of(self._directory.output, self._wanted, PIECE_BYTES)),
                    log=pieces,
                    log_names=names if names != self._names else None,
                    checkpoint=checkpoint,
                    result=self._known_as(result),
                )
            )
            self._note(pieces, reply)
            if all(landed(piece, reply.sizes) for piece in pieces):
                self._names, self._said, self._wanted = names, said, reply.wanted
                self._written = written or self._written
                return reply

    def _say(self, report: Report) -> Reply:
        return Reply.model_validate_json(self._plane.say("report", report.model_dump_json()))

    def _log(self) -> tuple[tuple[LogPiece, ...], tuple[str, ...], bool]:
        """The next pieces, PIECE_BYTES at most, the names of all files, and whether nothing is left after that."""
        names = tuple(sorted(path.name for path in _files(self._directory)))
        room = PIECE_BYTES
        pieces: list[LogPiece] = []
        for name in names:
            if room <= 0:
                return tuple(pieces), names, False
            try:
                piece = self._piece(name, room)
            except FileNotFoundError:
                continue  # compressed or dropped meanwhile
            if piece is not None:
                pieces.append(piece)
                room -= len(piece.data)
        return tuple(pieces), names, room > 0

    def _piece(self, name: str, room: int) -> LogPiece | None:
        path = self._directory.log / name
        with path.open("rb") as file:
            if name.endswith(OPEN):
                offset = self._sent.get(name, 0)
                file.seek(offset)
                data = file.read(room)
                return piece_of(name, offset, data, grows=True) if data else None
            version = os.fstat(file.fileno()).st_mtime_ns
            if self._whole.get(name) == version:
                return None
            if self._versions.get(name) != version:
                self._sent.pop(name, None)  # It was replaced: from its beginning.
                self._versions[name] = version
            offset = self._sent.get(name, 0)
            file.seek(offset)
            data = file.read(room)
            last = not file.read(1)
        return piece_of(name, offset, data, grows=False, last=last)

    def _note(self, pieces: tuple[LogPiece, ...], reply: Reply) -> None:
        for piece in pieces:
            if piece.grows:
                self._sent[piece.name] = reply.sizes.get(piece.name, piece.offset + len(piece.data))
            elif piece.last:
                self._sent.pop(piece.name, None)
                self._whole[piece.name] = self._versions[piece.name]
            else:
                self._sent[piece.name] = piece.offset + len(piece.data)

    def _known_as(self, value: Value | None) -> Value | None:
        """The value with the task's own id, and the name by which the cluster knows the node."""
        return None if value is None else value.model_copy(update=self._own)

    def _now_and_then(self) -> tuple[NodeUsage | None, Written | None]:
        """What is too dear for each report: the node's usage, and the files that the stage has written."""
        now_s, usage, written = time.monotonic(), None, None
        if now_s >= self._usage_due_s:
            self._usage_due_s = now_s + USAGE_EVERY_S
            usage = self._usage().model_copy(update={"name": self._own["node"]})
        if now_s >= self._files_due_s:
            self._files_due_s = now_s + USAGE_EVERY_S
            written = written_in(self._directory.output)
        return usage, written


def piece_of(name: str, offset: int, data: bytes, *, grows: bool, last: bool = False) -> LogPiece:
    """A piece of a file. `data` is not encoded yet."""
    return LogPiece.model_construct(name=name, offset=offset, data=data, grows=grows, last=last)


def _files(directory: TaskDirectory) -> Iterator[Path]:
    try:
        yield from (each for each in directory.log.iterdir() if NAME.fullmatch(each.name) or each.name == CHECKPOINT)
    except FileNotFoundError:
        return
