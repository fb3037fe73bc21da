"""The Docker daemon may go away while a stage runs. Tried on a daemon of the test's own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from attempts import Place
from patience import until

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a daemon"),
    pytest.mark.skipif(
        not (shutil.which("dockerd") and shutil.which("containerd")), reason="there is no dockerd to start"
    ),
]

PRINTS = 'i=0; while [ $i -lt 40 ]; do echo "line $i"; i=$((i+1)); sleep 0.1; done; exit 4'


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
        until("dockerd answers", lambda: self.docker("version").returncode == 0)

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


@pytest.fixture
def daemon(tmp_path: Path, test_image: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    image = subprocess.run(["docker", "save", test_image], capture_output=True, check=True).stdout
    made = Daemon(tmp_path)
    made.start("--live-restore")
    try:
        made.docker("load", given=image)
        monkeypatch.setenv("DOCKER_HOST", made.host)
        yield made
    finally:
        made.stop()


def test_a_stage_goes_on_through_a_restart_of_a_daemon_that_lets_it(daemon: Daemon, docker_place: Place) -> None:
    task = docker_place.task(PRINTS)
    with docker_place.running(task) as runner:
        until("it prints", lambda: docker_place.printed(task) > 3)
        daemon.kill()
        until("the status says so", lambda: "the Docker daemon has not responded" in docker_place.reason(task))
        daemon.start("--live-restore")
        assert runner.wait() == 0
    result = docker_place.directory(task).result()
    assert result is not None
    assert (result.outcome, result.exit_code) == ("failed", 4)
    assert docker_place.lines(task) == [f"line {number}" for number in range(40)]
    assert daemon.docker("ps", "-aq").stdout == b""


def test_a_stage_that_a_daemon_took_with_it_is_lost(daemon: Daemon, docker_place: Place) -> None:
    task = docker_place.task(PRINTS.replace("40", "4000"))
    with docker_place.running(task) as runner:
        until("it prints", lambda: docker_place.printed(task) > 3)
        daemon.kill()
        daemon.start()
        assert runner.wait() == 0
    result = docker_place.directory(task).result()
    assert result is not None
    assert result.outcome == "lost"
    assert "the Docker daemon was restarted" in result.message
