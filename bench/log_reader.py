"""The live log: 100,000 lines a second must neither slow down a stage nor fall behind it."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from bench.figure import Figure
from bench.installation import bench_image
from winslow_dagster.pipelines.model.stage_rules import LogRules, ProgressRule
from winslow_dagster.stages.launchers.docker.daemon_api import DaemonAddress
from winslow_dagster.stages.launchers.docker.log_follower import ContainerFollower
from winslow_dagster.stages.launchers.docker.log_stream import ContainerLog
from winslow_dagster.stages.launchers.docker.spec import LOG_CONFIG
from winslow_dagster.stages.log import DockerLogDemuxer, LogReader, LogWriter
from winslow_dagster.stages.log.lines import stamp

RULES = LogRules(
    progress=(
        ProgressRule(subject="frames", pattern=r"Processed frame (?P<current>\d+)/(?P<total>\d+)"),
        ProgressRule(subject="export", pattern=r"(?P<percent>\d+(?:\.\d+)?)\s*%"),
    ),
    warnings=(r"(?i)\bwarn(?:ing)?\b",),
    errors=(r"(?i)\b(?:error|exception|fatal)\b", r"^Traceback \(most recent"),
)
GOAL_LINES_PER_S = 100_000
LINES = 500_000
CHUNK_BYTES = 65_536
ROUNDS = 3
STAGE_BURST = 2_000
STAGE_PAUSE_US = 10_000


def figures() -> Iterator[Figure]:
    text = stage_output()
    with directory() as folder:
        source = folder / "source"
        source.write_bytes(text)
        raw_s = best(lambda number: write_chunks(folder / f"raw{number}", text))
        cat_s = best(lambda number: cat(source, folder / f"copy{number}"))
        frames = docker_frames(text)
        docker_s = best(lambda number: write_frames(folder / f"docker{number}", frames))
    ratio = LINES / raw_s / GOAL_LINES_PER_S
    yield Figure("log_process_lines_per_s_of_100000", ratio, "ratio", ">= 1", ratio >= 1)
    ratio = LINES / docker_s / GOAL_LINES_PER_S
    yield Figure("log_container_lines_per_s_of_100000", ratio, "ratio", ">= 1", ratio >= 1)
    yield Figure("log_written_against_cat", raw_s / cat_s, "ratio", "", None)
    yield from followed_stage()


def stage_output() -> bytes:
    """Output of a Java stage with far too detailed logging."""

    def line(number: int) -> str:
        if number % 100 == 0:
            return f"Processed frame {number}/{LINES} (12.5 fps)"
        if number % 5_000 == 1:
            return "2026-01-01 12:00:00,123 WARN  de.uni.tracker.Detector - low confidence in tile 17"
        return f"2026-01-01 12:00:00,123 DEBUG de.uni.tracker.Detector - tile {number} scored 0.{number:06d} in 12 ms"

    return "".join(f"{line(number)}\n" for number in range(1, LINES + 1)).encode()


def docker_frames(text: bytes) -> bytes:
    """The same as sent by the daemon, ten microseconds per line."""
    now_ns = time.time_ns()
    frames = []
    for number, line in enumerate(text.splitlines(keepends=True)):
        payload = stamp(now_ns + 10_000 * number) + b" " + line
        frames.append(b"\x01\0\0\0" + len(payload).to_bytes(4, "big") + payload)
    return b"".join(frames)


def write_chunks(log: Path, text: bytes) -> None:
    with LogWriter(log, RULES) as writer:
        for start in range(0, len(text), CHUNK_BYTES):
            writer.write("stdout", text[start : start + CHUNK_BYTES])
    assert writer.summary().warning_count == LINES // 5_000


def write_frames(log: Path, frames: bytes) -> None:
    demuxer = DockerLogDemuxer()
    with LogWriter(log, RULES) as writer:
        for start in range(0, len(frames), CHUNK_BYTES):
            writer.write_entries(demuxer.feed(frames[start : start + CHUNK_BYTES]))
    assert writer.summary().lines == LINES


def cat(source: Path, target: Path) -> None:
    with source.open("rb") as text, target.open("wb") as copy:
        subprocess.run(["cat"], stdin=text, stdout=copy, check=True)


def best(work: Callable[[int], None]) -> float:
    """The shortest of a few rounds in seconds, which excludes most other load of the machine."""
    times = []
    for number in range(ROUNDS):
        began_s = time.perf_counter()
        work(number)
        times.append(time.perf_counter() - began_s)
    return min(times)


@contextmanager
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="winslow-bench-log-") as folder:
        yield Path(folder)


def followed_stage() -> Iterator[Figure]:
    """A container that prints for some seconds, with and without a follower."""
    image = bench_image()
    alone_s: list[float] = []
    followed_s: list[float] = []
    lost = 0
    with directory() as folder:
        for number in range(ROUNDS):
            with container(image) as name:
                alone_s.append(wall_s(name))
            with container(image) as name:
                lost += LINES - followed(name, folder / str(number))
                followed_s.append(wall_s(name))
    ratio = statistics.median(followed_s) / statistics.median(alone_s)
    yield Figure("stage_lines_per_s_while_followed", LINES / statistics.median(followed_s), "lines/s", "", None)
    yield Figure("stage_wall_time_followed_against_alone", ratio, "ratio", "<= 1.2", ratio <= 1.2)
    yield Figure("stage_lines_lost_or_doubled", lost, "lines", "0", lost == 0)


@contextmanager
def container(image: str) -> Iterator[str]:
    """A started container that prints LINES numbered lines in bursts; removed afterwards."""
    options = [f"--log-opt={key}={value}" for key, value in LOG_CONFIG["Config"].items()]
    pause = f'if (i % {STAGE_BURST} == 0) {{ fflush(); system("busybox usleep {STAGE_PAUSE_US}") }}'
    text = "2026-01-01 12:00:00,123 DEBUG de.uni.tracker.Detector - tile scored 0.7 in 12 ms "
    program = f'BEGIN {{ for (i = 1; i <= {LINES}; i++) {{ print "{text}" i; {pause} }} }}'
    command = ["busybox", "awk", program]
    name = docker("run", "-d", "--network=none", f"--log-driver={LOG_CONFIG['Type']}", *options, image, *command)
    try:
        yield name
    finally:
        docker("rm", "-f", name)


def followed(name: str, log: Path) -> int:
    """Follow a container to its end. Returns how many of its lines are in the log exactly once and in order."""
    address = DaemonAddress.parse(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    source = ContainerLog(address, docker("version", "--format", "{{.Server.APIVersion}}"), name)
    ended = threading.Event()

    def wait() -> None:
        docker("wait", name)
        ended.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    with LogWriter(log, RULES) as writer:
        ContainerFollower().follow(source, writer, ended, threading.Event())
    waiting.join()
    numbers = [int(line.text.rpartition(" ")[2]) for line in LogReader(log).lines()]
    return len(set(numbers)) - (len(numbers) - len(set(numbers)))


def wall_s(name: str) -> float:
    """How long the container ran, according to the daemon."""
    docker("wait", name)
    state = json.loads(docker("inspect", name))[0]["State"]
    began, ended = (datetime.fromisoformat(state[key][:26]) for key in ("StartedAt", "FinishedAt"))
    return (ended - began).total_seconds()


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()
