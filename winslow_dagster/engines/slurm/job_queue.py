"""One look at Slurm's queue a second for the whole installation, however many processes and tasks ask.

The last look is a file in the home. Whoever finds it older than a second looks anew; others use it meanwhile.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from winslow_dagster.engines.slurm.commands import SlurmAway, slurm
from winslow_dagster.errors import EngineError
from winslow_dagster.locks import lock_now
from winslow_dagster.stages.task.directory import write_quickly

EVERY_S = 1.0
COLUMNS = "%i|%T|%r|%N|%S|%j"
ENDING = frozenset({"CANCELLED", "COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE"})

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """A job in the queue. `reason` is Slurm's word for why it waits, `starts_at` its forecast."""

    job_id: str
    state: str
    reason: str
    nodes: str
    starts_at: str
    name: str

    @property
    def pending(self) -> bool:
        """Whether it has not begun."""
        return self.state == "PENDING"


@dataclass(frozen=True, slots=True)
class Look:
    """The jobs of this user at one moment; after `problem`, those that were last seen. `at_s`: when the look began."""

    at_s: float = 0.0
    problem: str = ""
    lines: str = "\n"

    def job(self, name: str) -> Job | None:
        """The job of that name. Its text is searched: hundreds of processes each ask for one job of hundreds."""
        end = self.lines.find(f"|{name}\n")
        if end < 0:
            return None
        begin = self.lines.rfind("\n", 0, end) + 1
        return _job(self.lines[begin : end + len(name) + 1])

    def jobs(self) -> tuple[Job, ...]:
        """All jobs."""
        return tuple(filter(None, map(_job, self.lines.splitlines())))


def _job(line: str) -> Job | None:
    fields = line.split("|", 5)
    return Job(*fields) if len(fields) == 6 and fields[1] not in ENDING else None  # noqa: PLR2004  # COLUMNS


class JobQueue:
    """The queue as last seen. Safe for any number of processes and threads."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "queue"
        self._lock = directory / "queue.lock"
        self._renewing = threading.Lock()
        self._read: tuple[tuple[int, int], Look] = ((0, 0), Look())

    def look(self) -> Look:
        """The queue as last seen, at once. If that is a second ago, a thread looks anew: it may take seconds.

        A process that has just begun may get a look of long ago: compare `at_s`.
        """
        found = self._last()
        if not 0 <= time.time() - found.at_s < EVERY_S and self._renewing.acquire(blocking=False):
            threading.Thread(target=self._renew, args=(found,), name="squeue", daemon=True).start()
        return found

    def look_after(self, moment_s: float) -> Look:
        """The queue as it was after that moment (seconds since 1970), or the reason why nobody can tell."""
        while (found := self._last()).at_s <= moment_s or time.time() < found.at_s:
            time.sleep(min(EVERY_S, max(0.0, found.at_s + EVERY_S - time.time())))
            self._anew(found, wait=True)
        return found

    def _renew(self, known: Look) -> None:
        try:
            self._anew(known, wait=False)
        except EngineError:
            logger.exception("the queue cannot be looked at")
        finally:
            self._renewing.release()

    def _last(self) -> Look:
        try:
            stat = os.stat(self._file)  # noqa: PTH116  # many times a second
        except FileNotFoundError:
            return Look()
        stamp = (stat.st_mtime_ns, stat.st_ino)
        if stamp != self._read[0]:
            head, _, rest = self._file.read_text(encoding="utf-8").partition("\n")
            at_s, _, problem = head.partition(" ")
            self._read = stamp, Look(float(at_s), problem, f"\n{rest}")
        return self._read[1]

    def _anew(self, known: Look, *, wait: bool) -> Look:
        """Look, unless another process does so or has just done so."""
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if wait:
                fcntl.flock(lock, fcntl.LOCK_EX)
            elif not lock_now(lock, fcntl.LOCK_EX):
                return self._last()
            if self._last().at_s != known.at_s:
                return self._last()
            at_s, problem, lines = time.time(), "", known.lines[1:]
            try:
                lines = slurm("squeue", "--me", "--noheader", "--all", f"--format={COLUMNS}")
            except SlurmAway as error:
                problem = str(error)
            write_quickly(self._file, f"{at_s} {problem}\n{lines}")
            return self._last()
        finally:
            os.close(lock)
