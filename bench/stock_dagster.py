"""For comparison: nine containers in a row with stock Dagster (multiprocess, dagster-docker). Prints the seconds."""

import sys
import tempfile

from dagster import DagsterInstance, execute_job, job, multiprocess_executor, op, reconstructable
from dagster_docker import execute_docker_container


def _stage(number: int):  # noqa: ANN202  # Dagster's own type
    @op(name=f"s{number}")
    def stage(context, before: bool) -> bool:  # noqa: ANN001, FBT001  # Dagster reads the signature
        execute_docker_container(context, image=sys.argv[1] if len(sys.argv) > 1 else IMAGE, command=["true"])
        return before

    return stage


IMAGE = "winslow-bench:1"


@op
def begin() -> bool:
    """The first stage's input."""
    return True


@job(executor_def=multiprocess_executor.configured({"max_concurrent": 1}))
def nine() -> None:
    """Nine stages in a row."""
    last = begin()
    for number in range(9):
        last = _stage(number)(last)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, DagsterInstance.local_temp(folder) as instance:
        result = execute_job(reconstructable(nine), instance=instance)
        record = instance.get_run_record_by_id(result.run_id)
        assert result.success
        print(record.end_time - record.start_time)
