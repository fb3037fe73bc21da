"""Lets several processes share tasks. Workers end with whoever started them, however that ends."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection, wait
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
    raises ends the others' work too. Raises WorkerLost, or what the work raised.
    """
    if count <= 1 or len(tasks) <= 1:
        for task in tasks:
            work(job, task, partial(tell, task))
            tell(task, None)
        return
    waiting = deque(tasks)
    busy: dict[Connection, Task] = {}
    with _started(work, job, min(count, len(tasks))) as free:
        while waiting or busy:
            while free and waiting:
                connection = free.pop()
                busy[connection] = waiting.popleft()
                connection.send(busy[connection])
            for connection in cast("list[Connection]", wait(list(busy))):
                told = _told(connection)
                if isinstance(told, BaseException):
                    raise told
                tell(busy[connection], told)
                if told is None:
                    del busy[connection]
                    free.append(connection)


def _told(connection: Connection) -> Any:
    try:
        return connection.recv()
    except EOFError:
        return WorkerLost(
            "a worker process ended without a word", remedy="Was there too little memory? Try fewer WORKERS"
        )


@contextmanager
def _started(work: Work, job: Any, count: int) -> Iterator[list[Connection]]:
    # Spawned, not forked: libraries that have started threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    processes, ends = [], []
    try:
        for _ in range(count):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, work, job), daemon=True)
            process.start()
            there.close()
            processes.append(process)
            ends.append(here)
        yield list(ends)
    finally:
        for end in ends:
            end.close()
        for process in processes:
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
