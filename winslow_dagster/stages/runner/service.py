"""The stage runner: `python -m winslow_dagster.stages.runner.service <task directory>`, one process an attempt.

Everything is in the directory; killed at any moment, the next one goes on where this one was. It ends with 0 once the
attempt has its result, and with 3 where another runner serves it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from winslow_dagster.errors import EngineError
from winslow_dagster.stages.runner.attempt import Attempt
from winslow_dagster.stages.task.directory import AlreadyServed, TaskDirectory

SERVED_BY_ANOTHER = 3
PRELOAD = (
    "winslow_dagster.stages.runner.attempt",
    "winslow_dagster.stages.launchers.docker.containers",
    "winslow_dagster.stages.launchers.process.processes",
)
"""What a process that starts runners by forking may import before."""


def serve(path: Path) -> int:
    """Bring the attempt in `path` to its result; the exit code. Raises EngineError where there is no task."""
    directory = TaskDirectory(path.absolute())
    try:
        with directory.hold():
            task = directory.task()
            if task is None:
                raise EngineError("there is no task", where=str(path))
            if directory.result() is None:
                Attempt(task, directory).serve()
    except AlreadyServed:
        return SERVED_BY_ANOTHER
    return 0


def main() -> None:
    """Serve the attempt whose directory is the only argument."""
    if len(sys.argv) != 2:  # noqa: PLR2004  # the module and the directory
        sys.exit(__doc__)
    try:
        sys.exit(serve(Path(sys.argv[1])))
    except EngineError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
