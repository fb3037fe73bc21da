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
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from typing_extensions import override

from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.stages.launchers.docker.daemon_api import DaemonAddress
from winslow_dagster.stages.launchers.docker.log_follower import ContainerFollower
from winslow_dagster.stages.launchers.docker.log_stream import ContainerLog
from winslow_dagster.stages.log import DockerLogDemuxer, LogReader, LogWriter

pytestmark = pytest.mark.docker

LINES = 50_000
DAEMON = DaemonAddress.parse(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))


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
        log = ContainerLog(DAEMON, docker("version", "--format", "{{.Server.APIVersion}}"), names[-1])
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
    # Docker skips lines of a file that was rotated away. Some of them arrive with the next connection, after others.
    assert len(numbers) == len(set(numbers))
    assert 40_000 in numbers


@dataclass(frozen=True, slots=True)
class CutLog(ContainerLog):
    """A daemon that closes each followed connection after some bytes, as Docker does now and then."""

    limits: Iterator[int]

    @override
    def follow(self, since_ns: int, stop: threading.Event) -> Iterator[bytes]:
        left_bytes = next(self.limits)
        for chunk in ContainerLog.follow(self, since_ns, stop):
            yield chunk[:left_bytes]
            left_bytes -= len(chunk)
            if left_bytes <= 0:
                return


WORDS = st.sampled_from([b"frame", b"\r", b"\n", b" ", "μ".encode(), b"\r\n", b"\x00", b"\x1b[31m"])
PIECE = st.one_of(
    st.lists(WORDS, max_size=8).map(b"".join),
    st.integers(1, 70_000).map(lambda size: b"x" * size),
    st.integers(1, 5_000).map(lambda states: b"".join(b"\r%d%% done" % state for state in range(states))),
)
PIECES = st.lists(st.tuples(PIECE, PIECE), max_size=6)


def shown(printed: bytes) -> list[bytes]:
    """The lines as a terminal shows them, without what carriage returns overwrote; long ones cut."""
    lines = printed.split(b"\n")
    final = [line.rstrip(b"\r").rpartition(b"\r")[2] for line in lines]
    return [
        text
        if len(text) <= 65_536
        else text[:65_536] + f" … [{len(text) - 65_536:,} more bytes of this line omitted]".encode()
        for text in (final if lines[-1] else final[:-1])
    ]


@pytest.mark.parametrize("driver", ["json-file", "local"])
@settings(max_examples=5, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # a container for each
@given(printed=PIECES, cuts=st.lists(st.integers(0, 300_000), max_size=3))
@example(printed=[(b"\r 7% done" * 3_000, b""), (b" FATAL out of GPU memory", b"")], cuts=[40_000])
def test_everything_that_a_container_printed_is_in_the_log_wherever_connections_break(
    driver: str,
    test_image: str,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    printed: list[tuple[bytes, bytes]],
    cuts: list[int],
) -> None:
    folder = tmp_path_factory.mktemp("printed")
    script = []
    for number, (stdout, stderr) in enumerate(printed):
        (folder / f"{number}.out").write_bytes(stdout)
        (folder / f"{number}.err").write_bytes(stderr)
        script.append(f"cat /printed/{number}.out; cat /printed/{number}.err >&2; sleep 0.0{number}")
    options = ("--network=none", f"--log-driver={driver}", "-v", f"{folder}:/printed:ro")
    name = docker("run", "-d", *options, test_image, "sh", "-c", "; ".join(script) or "true")
    try:
        limits = itertools.chain(cuts, itertools.repeat(1 << 40))
        log = CutLog(DAEMON, docker("version", "--format", "{{.Server.APIVersion}}"), name, limits)
        with LogWriter(folder / "log", LogRules()) as writer:
            Container(name, log).follow_to_its_end(writer)
        kept = subprocess.run(["docker", "logs", name], capture_output=True, check=True)
    finally:
        docker("rm", "-f", name)
    lines = list(LogReader(folder / "log").lines())
    for stream, text, of_docker in zip(
        ("stdout", "stderr"), map(b"".join, zip(*printed, strict=True)), (kept.stdout, kept.stderr), strict=False
    ):
        assert [line.text for line in lines if line.stream == stream] == [
            part.decode("utf-8", "replace") for part in shown(text)
        ]
        if driver == "json-file":  # the other drops the line feed of a line that it splits
            assert of_docker == text


def test_a_log_that_the_daemon_no_longer_has_is_told(start: Callable[..., Container], log: Path) -> None:
    container = start("echo one")
    docker("wait", container.name)
    docker("rm", container.name)
    ended = threading.Event()
    ended.set()
    with LogWriter(log, LogRules()) as writer:
        problem = ContainerFollower().follow(container.log, writer, ended, threading.Event())
    assert problem.startswith("the end of the container's log could not be read: ")
    assert "error 404" in problem
