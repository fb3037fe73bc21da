"""The log of real containers, through the daemon that is there."""

from __future__ import annotations

import itertools
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from winslow_dagster.pipelines.model.pipeline import LogRules
from winslow_dagster.stages.launchers.docker.log_follower import ContainerFollower
from winslow_dagster.stages.launchers.docker.log_stream import ContainerLog, DaemonAddress
from winslow_dagster.stages.log import DockerLogDemuxer, LogReader, LogWriter

pytestmark = pytest.mark.docker

LINES = 50_000


@dataclass(frozen=True)
class Container:
    """A container that runs a shell script, and its log."""

    name: str
    log: ContainerLog

    def follow_to_its_end(self, writer: LogWriter) -> None:
        """As a runner does: a connection that ends may have ended too early."""
        ended = threading.Event()

        def wait() -> None:
            docker("wait", self.name)
            ended.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        ContainerFollower().follow(self.log, writer, ended, threading.Event())
        waiting.join()


@pytest.fixture
def start(test_image: str) -> Iterator[Callable[..., Container]]:
    names: list[str] = []

    def started(script: str, *options: str) -> Container:
        names.append(docker("run", "-d", "--network=none", *options, test_image, "sh", "-c", script))
        address = DaemonAddress.parse(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
        log = ContainerLog(address, docker("version", "--format", "{{.Server.APIVersion}}"), names[-1])
        return Container(names[-1], log)

    yield started
    for name in names:
        docker("rm", "-f", name)


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_a_stage_that_floods_its_log_is_followed_through_broken_connections(
    start: Callable[..., Container], log: Path, driver: str
) -> None:
    flood = f"seq {LINES} >&2 & seq {LINES}; wait"
    container = start(flood, f"--log-driver={driver}", "--log-opt=max-size=1g", "--log-opt=max-file=2")
    rules = LogRules(errors=("7$",))
    for chunks in (40, 400):  # twice the runner dies in the middle
        writer = LogWriter(log, rules, segment_bytes=500_000)
        point = writer.resume_point()
        demuxer = DockerLogDemuxer(point.stored)
        for chunk in itertools.islice(container.log.follow(point.since_ns, threading.Event()), chunks):
            writer.write_entries(demuxer.feed(chunk))
        writer.abandon()
    with LogWriter(log, rules, segment_bytes=500_000) as writer:
        container.follow_to_its_end(writer)
    summary = writer.summary()
    assert (summary.lines, summary.error_count) == (2 * LINES, 2 * LINES // 10)
    for stream in ("stdout", "stderr"):
        texts = [line.text for line in LogReader(log).lines(streams=[stream])]
        assert texts == [str(number) for number in range(1, LINES + 1)]


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_long_lines_and_unfinished_ones_arrive_whole(start: Callable[..., Container], log: Path, driver: str) -> None:
    script = "seq -s , 20000; echo next; sleep 0.2; echo -n 'a '; sleep 0.2; echo b; echo -n 'no line feed'"
    container = start(script, f"--log-driver={driver}")
    with LogWriter(log, LogRules()) as writer:
        container.follow_to_its_end(writer)
    long, *others = [line.text for line in LogReader(log).lines()]
    whole = ",".join(map(str, range(1, 20_001)))
    assert long.startswith(whole[:65_536])
    assert long.endswith(f"[{len(whole) - 65_536:,} more bytes of this line omitted]")
    assert others == ["next", "a b", "no line feed"]


def test_a_log_that_is_rotated_while_it_is_followed_doubles_nothing(start: Callable[..., Container], log: Path) -> None:
    pace = "i=0; while [ $i -lt 40 ]; do seq $((i * 1000 + 1)) $((i * 1000 + 1000)); sleep 0.02; i=$((i + 1)); done"
    container = start(pace, "--log-driver=json-file", "--log-opt=max-size=500k", "--log-opt=max-file=4")
    with LogWriter(log, LogRules()) as writer:
        container.follow_to_its_end(writer)
    numbers = [int(line.text) for line in LogReader(log).lines()]
    assert numbers == sorted(set(numbers))
