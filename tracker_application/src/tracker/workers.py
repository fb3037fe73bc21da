"""Lets several processes share tasks. Workers end with whoever started them, however that ends."""

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
# A task's work: told the job and the task, and whom to tell how many frames are done.
Work = Callable[[Any, Task, Callable[[int | None], None]], None]

# Without a limit from outside, a stage is not to take more.
USUAL_BYTES = 3 << 30


def affordable(worker_bytes: int, own_bytes: int) -> int:
    """As many workers as there are cores, and as there is memory for beside the stage's own."""
    cores = int(float(os.environ.get("WINSLOW_CPUS") or len(os.sched_getaffinity(0))))
    memory = min(int(os.environ.get("WINSLOW_MEMORY_BYTES") or USUAL_BYTES), USUAL_BYTES)
    return max(1, min(cores, (memory - own_bytes) // worker_bytes))


def share_out(
    work: Work, job: Any, tasks: Sequence[Task], count: int, tell: Callable[[Task, int | None], None]
) -> None:
    """Do all tasks in `count` processes (in this one, if one is enough); the first are begun first.

    `tell` is told a task and how many frames of it are done now and then, and a task and None when it is done; what it
    raises ends the others' work too. Raises WorkerLost, or what the work raised: a TrackerError or OSError.
    """
    if count <= 1 or len(tasks) <= 1:
        for task in tasks:
            work(job, task, partial(tell, task))
            tell(task, None)
        return
    waiting = deque(tasks)
    busy: dict[Connection, Task] = {}
    with _started(work, job, min(count, len(tasks))) as processes:
        free = list(processes)
        while waiting or busy:
            while free and waiting:
                connection = free.pop()
                busy[connection] = waiting.popleft()
                with suppress(BrokenPipeError, ConnectionResetError):  # who is gone is noticed where it is listened to
                    connection.send(busy[connection])
            for connection in cast("list[Connection]", wait(list(busy))):
                told = _told(connection, processes[connection])
                if isinstance(told, BaseException):
                    raise told
                tell(busy[connection], told)
                if told is None:
                    del busy[connection]
                    free.append(connection)


def _told(connection: Connection, process: BaseProcess) -> Any:
    try:
        return connection.recv()
    except (EOFError, ConnectionResetError):
        process.join()
        return _lost(process.exitcode or 0)


def _lost(exit_code: int) -> WorkerLost:
    if exit_code < 0:
        name = signal.Signals(-exit_code).name
        cause = ", which is what happens where there is too little memory" if -exit_code == signal.SIGKILL else ""
        return WorkerLost(
            f"a worker process was ended from outside ({name}){cause}",
            remedy="What is done is kept: run the stage again to go on from there, with fewer WORKERS or more memory",
        )
    return WorkerLost(
        f"a worker process failed (exit code {exit_code}): the lines above say why",
        remedy="What is done is kept: run the stage again to go on from there; if it fails again, report those lines",
    )


@contextmanager
def _started(work: Work, job: Any, count: int) -> Iterator[dict[Connection, BaseProcess]]:
    # Spawned, not forked: libraries that have started threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    processes: dict[Connection, BaseProcess] = {}
    try:
        for _ in range(count):
            here, there = context.Pipe()
            process: BaseProcess = context.Process(target=_serve, args=(there, work, job), daemon=True)
            process.start()
            there.close()
            processes[here] = process
        yield processes
    finally:
        for end in processes:
            end.close()
        for process in processes.values():
            process.terminate()
            process.join()


def _serve(connection: Connection, work: Work, job: Any) -> None:
    """What a worker does: one task after the other, until nobody is there any more to send one."""
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
