"""Reads the GPUs of a job in a process of its own: a driver that hangs or crashes disturbs neither agent nor stage."""

from __future__ import annotations

import ctypes
import json
import logging
import math
import os
import select
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any

from winslow_dagster.engines.gpu_processes import ProcessOwners
from winslow_dagster.engines.gpu_readings import GPU_FIELDS, READ_EVERY_S, GpuReader, GpuReading, GpuSource
from winslow_dagster.engines.node_usage import GpuUsage
from winslow_dagster.engines.slurm.job_environment import Signals

PR_SET_PDEATHSIG = 1
CHUNK_BYTES = 1 << 16

logger = logging.getLogger(__name__)


class GpuWatch:
    """A fork of the agent, which has no other thread then. It ends with the agent."""

    def __init__(self, gpus: Collection[str], tasks_dir: Path, sources: tuple[GpuSource, ...] | None = None) -> None:
        """`gpus` are the ids of those that the job was given, to attempts in `tasks_dir`. `sources` are by default all
        drivers.
        """
        # Nobody waits for the other end: what does not fit is dropped.
        self._from_fork, to_agent = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        agent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _watch(frozenset(gpus), GpuReader(sources), ProcessOwners(tasks_dir), (to_agent, agent))
        os.close(to_agent)

    def means(self) -> tuple[GpuUsage, ...]:
        """What was in use of each GPU since the last call, without those of which its driver has said nothing."""
        found: dict[str, list[list[float | None]]] = {}
        processes: dict[str, list[dict[str, Any]] | None] = {}
        for line in b"".join(self._received()).splitlines():
            uuid, processes_now, *values = json.loads(line)
            found.setdefault(uuid, []).append(values)
            processes[uuid] = processes_now
        return tuple(
            GpuUsage.model_validate(
                {
                    "uuid": uuid,
                    "processes": processes[uuid],
                    **dict(zip(GPU_FIELDS, map(_mean, zip(*rows, strict=True)), strict=True)),
                }
            )
            for uuid, rows in found.items()
        )

    def end(self) -> None:
        """End the fork, without waiting: a driver may hold it."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.close(self._from_fork)

    def _received(self) -> Iterator[bytes]:
        with suppress(BlockingIOError):
            while chunk := os.read(self._from_fork, CHUNK_BYTES):
                yield chunk


def _watch(gpus: frozenset[str], reader: GpuReader, owners: ProcessOwners, ends: tuple[int, int]) -> None:
    """Write a line for each GPU and second. `ends` are the pipe to the agent, and its pid."""
    to_agent, agent = ends
    try:
        Signals.reset()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        reader.start()
        while os.getppid() == agent:
            time.sleep(READ_EVERY_S)
            for uuid, reading in reader.latest().items():
                if uuid in gpus:
                    with suppress(BlockingIOError):
                        os.write(to_agent, _line(uuid, reading, owners))
    except Exception:
        logger.exception("the GPUs are not read any more")
    finally:
        os._exit(0)


def _line(uuid: str, reading: GpuReading, owners: ProcessOwners) -> bytes:
    """A line that a pipe takes as a whole or not at all. If there are too many processes, the smallest are left out."""
    values = [None if math.isnan(value) else value for value in reading.values()]
    users = reading.processes
    processes = None if users is None else [each.model_dump() for each in owners.described(users)]
    while len(line := json.dumps([uuid, processes, *values]).encode() + b"\n") > select.PIPE_BUF and processes:
        processes.pop()
    return line


def _mean(values: tuple[float | None, ...]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
