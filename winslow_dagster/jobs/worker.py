"""The run worker process: takes the run's lock, then lets Dagster execute or resume the run.

`python -m winslow_dagster.jobs.worker LOCK_FILE COMMAND JSON`, with Dagster's own `execute_run` or `resume_run` and
their argument. By the lock the launcher sees whether a run has a live worker; the kernel releases it however the
process ends. A second worker of the same run exits at once.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from winslow_dagster.locks import held, take
from winslow_dagster.privacy import hide_environment


def worker_pid(lock_file: Path) -> int | None:
    """The pid of the process that holds the run's lock; None if no worker is alive."""
    if not held(lock_file):
        return None
    text = lock_file.read_text()
    return int(text) if text.isdigit() else None


def serve(lock_file: Path) -> bool:
    """Hold the run's lock until this process ends. Returns False if another worker holds it."""
    descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not take(descriptor):
        return False
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return True


def main(arguments: list[str]) -> None:
    """Serve the run, unless another worker does."""
    hide_environment()
    lock_file, command, payload = arguments
    if not serve(Path(lock_file)):
        print(f"another worker serves this run: {Path(lock_file).stem}", file=sys.stderr)  # noqa: T201  # its own log
        return
    # Imported here: the lock comes first.
    from winslow_dagster.jobs.outage import end_with_the_database

    end_with_the_database()
    sys.argv = ["dagster", "api", command, payload]
    runpy.run_module("dagster", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
