"""The run worker process: takes the run's lock, then lets Dagster execute or resume the run.

`python -m winslow_dagster.jobs.worker LOCK_FILE COMMAND JSON`, with Dagster's own `execute_run` or `resume_run` and
their argument. The lock is what the launcher looks at to see whether a run has a live worker; the kernel frees it however the
process ends. A second worker for the same run leaves at once, so two never serve one run.
"""

from __future__ import annotations

import fcntl
import os
import runpy
import sys
from pathlib import Path


def worker_pid(lock_file: Path) -> int | None:
    """The process that holds the run's lock, or None where no live worker does."""
    try:
        descriptor = os.open(lock_file, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 32).decode()
        return int(text) if text.isdigit() else None
    else:
        return None
    finally:
        os.close(descriptor)


def main(arguments: list[str]) -> None:
    """Serve the run, or leave when another worker does."""
    lock_file, command, payload = arguments
    descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"another worker serves this run: {Path(lock_file).stem}", file=sys.stderr)  # noqa: T201  # its own log
        return
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    sys.argv = ["dagster", "api", command, payload]
    runpy.run_module("dagster", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
