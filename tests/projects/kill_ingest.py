"""Ingests one film after the other, each in a process that is killed (SIGKILL) one step later than the one before,
until one runs to the end; each is ingested again by a process that is not killed, after the launch timeout.

    python kill_ingest.py SOURCE WATCH_FILE

A step is whatever leaves something behind: a transaction, a request to Dagster, a change of the file system. Prints
{"kills": n, "states": [what the film was when it was killed, ...]} as JSON. The services run elsewhere.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from films import film
from sqlalchemy import Engine, event

from winslow_dagster.projects.ingest.ingest_file import LAUNCH_TIMEOUT
from winslow_dagster.projects.ingest.scan_pass import run_pass
from winslow_dagster.projects.ingest.table import IngestTable
from winslow_dagster.projects.installation import Installation
from winslow_dagster.sensors.ingest import ACTOR, SurroundingServices
from winslow_dagster.settings import Settings

STEPS = frozenset({"urllib.Request", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir"})


def one_pass(settings: Settings, ahead: timedelta) -> None:
    with Installation(settings, SurroundingServices(settings), ACTOR) as installation:
        run_pass(replace(installation.context, clock=lambda: datetime.now(UTC) + ahead))


def in_a_process(settings: Settings, ahead: timedelta, killed_at: int | None) -> bool:
    """Whether it lived to the end."""
    pid = os.fork()
    if pid == 0:
        if killed_at is not None:
            kill_at(killed_at)
        one_pass(settings, ahead)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


def kill_at(step: int) -> None:
    seen = 0

    def count(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == step:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "commit", count)
    sys.addaudithook(lambda name, _arguments: count() if name in STEPS else None)


def state_of(settings: Settings, path: str) -> str:
    with Installation(settings, SurroundingServices(settings), ACTOR) as installation:
        found = IngestTable(installation.context.records.database).of_watch("drone").get(path)
        return "unseen" if found is None else found.state


def main(source: Path, watch_file: Path) -> None:
    settings = Settings.read().model_copy(update={"watch_file": watch_file})
    one_pass(settings, timedelta(0))  # what is imported and made only once is no step of a film
    states: list[str] = []
    step, lived = 0, False
    while not lived:
        step += 1
        name = f"film-{step}.mp4"
        (source / f".{name}").write_bytes(film(name.encode()))
        (source / f".{name}").rename(source / name)
        lived = in_a_process(settings, timedelta(0), step)
        states += [] if lived else [state_of(settings, name)]
        in_a_process(settings, 2 * LAUNCH_TIMEOUT, None)
    sys.stdout.write(json.dumps({"kills": step - 1, "states": states}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
