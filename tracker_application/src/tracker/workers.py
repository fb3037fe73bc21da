"""Shares tasks among processes. Workers exit with their parent, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, cast

from tracker.errors import TrackerError, WorkerLost

Task = Any
# Performs a task: takes the job, the task, and a callback for the number of finished frames.
Work = Callable[[Any, Task, Callable[[int | None], None]], None]

# The stage's memory limit if none is set from outside.
USUAL_BYTES = 3 << 30


def cores() -> int:
    """The number of cores that the stage was given."""
    return max(1, int(float(os.environ.get("WINSLOW_CPUS") or len(os.sched_getaffinity(0)))))


def affordable(worker_bytes: int, own_bytes: int) -> int:
    """The number of workers: one per core, as far as memory allows beside the stage's own."""
    memory = min(int(os.environ.get("WINSLOW_MEMORY_BYTES") or USUAL_BYTES), USUAL_BYTES)
    return max(1, min(cores(), (memory - own_bytes) // worker_bytes))


def share_out(
    work: Work, job: Any, tasks: Sequence[Task], count: int, on_progress: Callable[[Task, int | None], None]
) -> None:
    """Do all tasks in order in `count` processes, or in this one if one is enough.

    Calls `on_progress` with a task and its number of finished frames at intervals, and with None when it is done; an
    exception from it stops all work. Raises WorkerLost, or the exception of a task: a TrackerError or OSError.
    """
    if count <= 1 or len(tasks) <= 1:
        for task in tasks:
            work(job, task, partial(on_progress, task))
            on_progress(task, None)
        return
    waiting = deque(tasks)
    busy: dict[Connection, Task] = {}
    with _started(work, job, min(count, len(tasks))) as processes:
        free = list(processes)
        while waiting or busy:
            while free and waiting:
                connection = free.pop()
                busy[connection] = waiting.popleft()
                with suppress(BrokenPipeError, ConnectionResetError):  # a dead worker is noticed when it is read from
                    connection.send(busy[connection])
            for connection in cast("list[Connection]", wait(list(busy))):
                message = _receive(connection, processes[connection])
                if isinstance(message, BaseException):
                    raise message
                on_progress(busy[connection], message)
                if message is None:
                    del busy[connection]
                    free.append(connection)


def _receive(connection: Connection, process: BaseProcess) -> Any:
    try:
        return connection.recv()
    except (EOFError, ConnectionResetError):
        process.join()
        return _lost(process.exitcode or 0)


def _lost(exit_code: int) -> WorkerLost:
    if exit_code < 0:
        name = signal.Signals(-exit_code).name
        cause = ", usually because memory ran out" if -exit_code == signal.SIGKILL else ""
        return WorkerLost(
            f"a worker process was killed ({name}){cause}",
            remedy="Run the stage again to continue from its checkpoints, with fewer WORKERS or more memory",
        )
    return WorkerLost(
        f"a worker process failed (exit code {exit_code}): see the lines above",
        remedy="Run the stage again to continue from its checkpoints; if it fails again, report those lines",
    )


@contextmanager
def _started(work: Work, job: Any, count: int) -> Iterator[dict[Connection, BaseProcess]]:
    # Spawned, not forked: libraries that have started threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    processes: dict[Connection, BaseProcess] = {}
    try:
        for _ in range(count):
            parent_end, worker_end = context.Pipe()
            process: BaseProcess = context.Process(target=_serve, args=(worker_end, work, job), daemon=True)
            process.start()
            worker_end.close()
            processes[parent_end] = process
        yield processes
    finally:
        for end in processes:
            end.close()
        for process in processes.values():
            process.terminate()
            process.join()


def _serve(connection: Connection, work: Work, job: Any) -> None:
    """A worker's loop: process tasks until the parent closes the connection."""
    while True:
        try:
            work(job, connection.recv(), connection.send)
            connection.send(None)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return
        except TrackerError as error:
            connection.send(error)
            return
        except OSError as error:  # a full disk, for example
            connection.send(OSError(error.errno, error.strerror, error.filename))
            return
