"""Programs of Winslow as forks of one process that has imported what they import: a start takes seconds less of a core.

The forks are made by the fork server that Winslow itself uses, one for each process that runs tests. Where it declines,
and in tests of the start itself, a program is started as people start it, by an interpreter of its own.
"""

from __future__ import annotations

import atexit
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from patience import until, until_ended, until_there

from winslow_dagster.engines.spawn import ForkServerUnavailable, ProcessIdentity, Start, start_by_fork
from winslow_dagster.services.supervisor import DAGSTER
from winslow_dagster.stages.runner import service as stage_runner

OPENS_THE_INSTANCE = "winslow_dagster.services.preload"
PRELOAD = (
    stage_runner.__name__,
    *stage_runner.PRELOAD,
    *(module for module in DAGSTER if module != OPENS_THE_INSTANCE),
    "winslow_dagster.assets.repository",
    "winslow_dagster.assets.sensors",
    "winslow_dagster.services.supervisor",
    "winslow_dagster.console.server",
)
"""What the services import, but for what opens the database of an installation on its import."""


@dataclass(frozen=True)
class Forked:
    """A process that is not a child of this one. What a test needs of `subprocess.Popen`, but for its exit code."""

    process: ProcessIdentity

    @property
    def pid(self) -> int:
        return self.process.pid

    def poll(self) -> str | None:
        return None if self.process.alive() else "ended"

    def terminate(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        self.process.kill()

    def wait(self) -> None:
        until_ended(self.process)


def start(
    module: str, args: Sequence[str], environment: Mapping[str, str], log: Path
) -> Forked | subprocess.Popen[bytes]:
    """Run `python -m module args` in a session of its own; what it prints goes to `log`."""
    try:
        request = Start(module, tuple(args), dict(environment), str(Path.cwd()), str(log.absolute()))
        return Forked(start_by_fork(fork_server(), request))
    except ForkServerUnavailable:
        return start_anew(module, args, environment, log)


def start_anew(module: str, args: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """The same by a new interpreter."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", module, *args], env=environment, stdout=output, stderr=output, start_new_session=True
        )


@cache
def fork_server() -> Path:
    """The socket of this process's fork server, which is started by the first test that needs it, and ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="winslow-test-forks-"))
    socket, log = folder / "forks.sock", folder / "log"
    options = [word for module in PRELOAD for word in ("--preload", module)]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "winslow_dagster.engines.fork_server", "--socket", socket, *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    atexit.register(remove, server, folder)
    until("the fork server listens", lambda: socket.exists() or server.poll() is not None)
    assert server.poll() is None, log.read_text()
    return until_there(socket)


def remove(server: subprocess.Popen[bytes], folder: Path) -> None:
    server.kill()
    server.wait()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
