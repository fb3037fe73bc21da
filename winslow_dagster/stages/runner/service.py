"""The stage runner: `python -m winslow_dagster.stages.runner.service TASK_DIRECTORY NODE_SETTINGS`, one per attempt.

NODE_SETTINGS is JSON. All state is in the directory: if a runner is killed, the next one continues where it was. Exits
with 0 once the attempt has its result, and with 3 if another runner serves it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from winslow_dagster.errors import EngineError
from winslow_dagster.privacy import hide_environment
from winslow_dagster.settings import NodeSettings
from winslow_dagster.stages.runner.attempt import AttemptRunner
from winslow_dagster.stages.task.directory import AlreadyServed, TaskDirectory
from winslow_dagster.stages.task.model import NodeGpu

SERVED_BY_ANOTHER = 3
PRELOAD = (
    "winslow_dagster.stages.runner.attempt",
    "winslow_dagster.stages.launchers.docker.containers",
    "winslow_dagster.stages.launchers.process.processes",
)
"""Modules that a process which forks runners may import beforehand."""


def serve(
    path: Path,
    node: NodeSettings,
    given_gpus: tuple[NodeGpu, ...] | None = None,
    stored: Callable[[], None] = lambda: None,
) -> int:
    """Bring the attempt in `path` to its result. Returns the exit code. Raises EngineError if it has no task.

    `given_gpus` are those that the attempt has already, where something else allots them: the queue of a cluster.
    `stored` is called once the directory has the outcome; what is left is to clear up.
    """
    directory = TaskDirectory(path.absolute())
    try:
        with directory.hold():
            task = directory.task()
            if task is None:
                raise EngineError("the directory has no task", where=str(path))
            if directory.result() is None:
                AttemptRunner(task, directory, node, given_gpus, stored).serve()
    except AlreadyServed:
        return SERVED_BY_ANOTHER
    return 0


def main() -> None:
    """Serve the attempt that the arguments name."""
    hide_environment()
    if len(sys.argv) != 3:  # noqa: PLR2004  # the module and its two arguments
        sys.exit(__doc__)
    try:
        sys.exit(serve(Path(sys.argv[1]), NodeSettings.model_validate_json(sys.argv[2])))
    except EngineError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
