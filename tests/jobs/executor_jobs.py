"""Jobs for the executor's tests; loaded by worker processes, hence a module of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

from dagster import In, Nothing, OpExecutionContext, Out, Output, RetryRequested, job, op

from winslow_dagster.jobs.executor import thread_executor

DIARY = Path(os.environ.get("EXECUTOR_TEST_DIR", "/nonexistent"))


def note(text: str) -> None:
    with (DIARY / "diary").open("a") as diary:
        diary.write(text + "\n")


def held(name: str) -> None:
    """Wait here while the file `<name>.hold` stands."""
    import time

    note(f"{name} waits")
    while (DIARY / f"{name}.hold").exists():
        time.sleep(0.02)


@op
def first() -> int:
    note("first")
    return 1


@op(out={"go": Out(Nothing, is_required=False), "value": Out(int)})
def chooser(first: int) -> Iterator[Output[int]]:
    note("chooser")
    yield Output(first + 1, "value")


@op(ins={"go": In(Nothing)})
def skipped() -> None:
    note("skipped must not run")


@op
def flaky(context: OpExecutionContext, first: int) -> int:
    note(f"flaky {context.retry_number}")
    if context.retry_number == 0:
        raise RetryRequested(max_retries=1, seconds_to_wait=0.2)
    return first + 10


@op
def slow(first: int, second: int) -> int:
    held("slow")
    note("slow done")
    return first + second


@op
def last(value: int) -> None:
    note(f"last {value}")


@job(executor_def=thread_executor)
def branches() -> None:
    start = first()
    go, value = chooser(start)
    skipped(go)
    last(slow(value, flaky(start)))
