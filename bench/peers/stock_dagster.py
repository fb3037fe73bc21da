"""Nine stages in a row with stock Dagster: its multiprocess executor, and `execute_docker_container`."""

import sys
import tempfile

from dagster import (
    DagsterInstance,
    OpDefinition,
    OpExecutionContext,
    execute_job,
    job,
    multiprocess_executor,
    op,
    reconstructable,
)
from dagster_docker import execute_docker_container

# The processes of the steps load this file without the arguments.
IMAGE, STAGES, CPUS = sys.argv[1:4] if len(sys.argv) == 4 else ("", "9", "1")


def _stage(number: int) -> OpDefinition:
    @op(name=f"s{number}", config_schema={"image": str, "cpus": float})
    def stage(context: OpExecutionContext, before: bool) -> bool:  # noqa: FBT001  # Dagster reads the signature
        limit = {"nano_cpus": int(context.op_config["cpus"] * 1e9)}
        execute_docker_container(context, image=context.op_config["image"], command=["true"], container_kwargs=limit)
        return before

    return stage


@op
def begin() -> bool:
    """The first stage's input."""
    return True


@job(executor_def=multiprocess_executor.configured({"max_concurrent": 1}))
def stages() -> None:
    """Stages in a row."""
    last = begin()
    for number in range(int(STAGES)):
        last = _stage(number)(last)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, DagsterInstance.local_temp(folder) as instance:
        each = {"config": {"image": IMAGE, "cpus": float(CPUS)}}
        config = {"ops": {f"s{number}": each for number in range(int(STAGES))}}
        result = execute_job(reconstructable(stages), instance=instance, run_config=config)
        record = instance.get_run_record_by_id(result.run_id)
        assert result.success
        assert record
        assert record.start_time
        assert record.end_time
        print(record.end_time - record.start_time)
