"""A directory in which tests start processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from patience import until, until_ended, until_there
from processes import running

from winslow_dagster.engines.spawn import ProcessIdentity, short_address, spawn_detached

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)}
"""The environment of servers and their children. A child in another locale would be started plainly."""

REPORTER = """
import atexit, json, os, random, shared_state, signal, sys, threading
def report():
    return {
        "argv": sys.argv[1:],
        "file": sys.argv[0],
        "main": __name__,
        "env": dict(os.environ),
        "cwd": os.getcwd(),
        "path": sys.path[0],
        "pid": os.getpid(),
        "session": os.getsid(0),
        "group": os.getpgrp(),
        "parent": os.getppid(),
        "stdin": sys.stdin.read(),
        "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")),
        "handlers": {s.name: str(signal.getsignal(s)).split(" at ")[0] for s in signal.Signals if s < signal.SIGRTMIN},
        "masked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "command": open("/proc/self/cmdline").read().rstrip("\\0").replace("\\0", " "),
        "state": shared_state.value,
        "random": random.random(),
    }
shared_state.value += 1
atexit.register(print, "at exit", file=sys.stderr)
threading.Thread(target=lambda: print("from a thread", file=sys.stderr)).start()
target = sys.argv[1]
text = json.dumps(report())
with open(target + ".draft", "w") as file:
    file.write(text)
os.rename(target + ".draft", target)
print("on stdout")
"""


class Place:
    """A directory with a few modules, and the means to start them with a fork server and without."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = path / "fork_server.sock"
        self.log = path / "logs" / "of the child.log"
        self._reports = 0
        self.module("reporter", REPORTER)
        self.module("shared_state", "value = 0\n")
        self.module("sleeper", "import signal\nprint('asleep', flush=True)\nsignal.pause()\n")

    def module(self, name: str, text: str) -> Path:
        file = self.path / f"{name}.py"
        file.write_text(text)
        return file

    def spawn(
        self, module: str, *args: str, env: Mapping[str, str] = ENVIRONMENT, forked: bool = True
    ) -> ProcessIdentity:
        socket_path = self.socket if forked else None
        return spawn_detached(module, args, env=env, cwd=self.path, log_path=self.log, fork_server_socket=socket_path)

    def report(self, *args: str, env: Mapping[str, str] = ENVIRONMENT) -> dict[str, Any]:
        """What a process reports about itself."""
        self._reports += 1
        target = self.path / f"report{self._reports}"
        process = self.spawn("reporter", str(target), *args, env=env)
        content: dict[str, Any] = json.loads(until_there(target).read_text())
        assert content["pid"] == process.pid
        until_ended(process)
        return content

    @contextmanager
    def server(
        self, *preload: str, parent_pid: int | None = None, ready: bool = True
    ) -> Iterator[subprocess.Popen[bytes]]:
        options = [word for module in preload for word in ("--preload", module)]
        options += ["--parent-pid", str(parent_pid or os.getpid())]
        with running(
            [sys.executable, "-m", "winslow_dagster.engines.fork_server", "--socket", str(self.socket), *options],
            env=ENVIRONMENT,
            cwd=self.path,
            stderr=subprocess.PIPE,
        ) as server:
            if ready:
                until("the server answers", self.answers)
            yield server
            server.kill()

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe, short_address(self.socket) as address:
            return probe.connect_ex(address) == 0
