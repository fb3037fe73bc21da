"""A small Dagster repository for the tests of the GraphQL adapter. A file `broken` beside it makes it fail to load."""

import time
from pathlib import Path

from dagster import OpExecutionContext, in_process_executor, job, op, repository

if (Path.cwd() / "broken").exists():
    raise ValueError("a pipeline went wrong")

version = Path("version").read_text() if Path("version").exists() else "one"


@op(config_schema={"upto": int})
def count(context: OpExecutionContext) -> None:
    context.log.info(f"counted to {context.op_config['upto']}")


@op
def wait_for_ever() -> None:
    while True:
        time.sleep(0.05)


# As with Winslow's own executor, a run is one process.
@job(tags={"winslow/pipeline_digest": version}, executor_def=in_process_executor)
def counting() -> None:
    count()


@job(executor_def=in_process_executor)
def waiting() -> None:
    wait_for_ever()


@repository
def winslow() -> list[object]:
    return [counting, waiting]
