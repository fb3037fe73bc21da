"""A Docker daemon of a test's own, which it may kill and start."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from patience import until

STARTABLE = [
    pytest.mark.docker,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a daemon"),
    pytest.mark.skipif(
        not (shutil.which("dockerd") and shutil.which("containerd")), reason="there is no dockerd to start"
    ),
]
"""Marks of the tests that start one."""


@dataclass
class Daemon:
    """A dockerd with its own containerd, images and containers."""

    folder: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    def start(self, *options: str) -> None:
        if not self.started:
            config = self.folder / "containerd.toml"
            config.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
            places = ("--root", self.folder / "c-root", "--state", self.folder / "c-state")
            self._run("containerd", "--config", config, *places, "--address", self.folder / "c.sock")
            until("containerd listens", (self.folder / "c.sock").exists)
        (self.folder / "docker.pid").unlink(missing_ok=True)
        places = ("--data-root", self.folder / "data", "--exec-root", self.folder / "exec")
        sockets = ("--containerd", self.folder / "c.sock", "-H", self.host, "--pidfile", self.folder / "docker.pid")
        no_network = ("--bridge=none", "--iptables=false", "--ip6tables=false")
        # In a network of its own: a daemon without a bridge removes the one it finds, which is the machine's.
        self._run("unshare", "--net", "dockerd", *places, *sockets, *no_network, *options)
        until("dockerd answers", self._answers)

    def _answers(self) -> bool:
        assert self.started[-1].poll() is None, (self.folder / "unshare.log").read_text()
        return self.docker("version").returncode == 0

    def kill(self) -> None:
        self.started[-1].send_signal(signal.SIGKILL)
        self.started.pop().wait()

    def docker(self, *words: str, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["docker", "-H", self.host, *words], input=given, capture_output=True, check=False)

    def stop(self) -> None:
        names = self.docker("ps", "-aq").stdout.decode().split()
        if names:
            self.docker("rm", "-f", *names)
        for process in reversed(self.started):
            process.terminate()
            process.wait()
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for place in reversed([place for place in mounted if place.startswith(str(self.folder))]):
            subprocess.run(["umount", "-l", place], check=True)  # Left by the daemon that was killed.

    def _run(self, *words: str | Path) -> None:
        with (self.folder / f"{words[0]}.log").open("ab") as log:
            self.started.append(subprocess.Popen([str(word) for word in words], stdout=log, stderr=log))


@contextmanager
def own_daemon(image: str) -> Iterator[Daemon]:
    """A daemon that has this image of the machine's daemon."""
    content = subprocess.run(["docker", "save", image], capture_output=True, check=True).stdout
    # A short path: the daemon makes sockets in it, whose addresses have at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="dockerd-", ignore_cleanup_errors=True) as folder:
        daemon = Daemon(Path(folder))
        try:
            daemon.start("--live-restore")
            daemon.docker("load", given=content)
            yield daemon
        finally:
            daemon.stop()
