"""The writer's process is killed, again and again, and the log is what it would have been."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.stages.log import Entry, LogReader, LogWriter

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["winslow_dagster.stages.log"])  # each starts in milliseconds
RULES = LogRules(errors=("Error",))
NOW = 1_800_000_000_000_000_000
SIZES = {"segment_bytes": 20_000, "limit_bytes": 100_000_000}


def copy_from_a_file(log: Path, source: Path) -> None:
    """In a process that is killed: feed a file into the log, from where the log has it."""
    with LogWriter(log, RULES, **SIZES) as writer, source.open("rb") as file:
        point = writer.resume_point().sources["stdout"]
        file.seek(point.offset_bytes)
        for _ in range(point.skip_lines):
            file.readline()
        writer.source_at("stdout", file.tell())
        chunks = random.Random(os.getpid())
        while chunk := file.read(chunks.randrange(1, 5_000)):
            writer.write("stdout", chunk)


def copy_with_stamps(log: Path, source: Path) -> None:
    """The same for a source that only knows when each line came, and that stamps three lines alike."""
    with LogWriter(log, RULES, **SIZES) as writer:
        point = writer.resume_point()
        stored = dict(point.stored.counts)
        for number, line in enumerate(source.read_bytes().splitlines(keepends=True)):
            at_ns = NOW + number // 3 * 1_000_000
            if at_ns < point.since_ns:
                continue
            if stored.get(("stdout", at_ns), 0):
                stored["stdout", at_ns] -= 1
                continue
            writer.write_entries([Entry("stdout", at_ns, line)])


@pytest.mark.parametrize("copy", [copy_from_a_file, copy_with_stamps])
def test_a_writer_killed_at_random_moments_loses_and_doubles_nothing(
    log: Path, tmp_path: Path, copy: Callable[[Path, Path], None]
) -> None:
    source = tmp_path / "source"
    texts = [f"Error {number} {'x' * (number % 90)}" for number in range(40_000)]
    source.write_text("".join(text + "\n" for text in texts))
    moments, kills = random.Random(7), 0
    while not LogReader(log).ended:
        writer = processes.Process(target=copy, args=(log, source))
        writer.start()
        stored = _live_bytes(log)
        while writer.is_alive() and kills < 6:  # kill it at a moment when it has written something
            time.sleep(moments.random() * 0.05)
            if _live_bytes(log) != stored:
                time.sleep(moments.random() * 0.1)
                writer.kill()
                kills += 1
                break
        writer.join()
        assert writer.exitcode in {0, -signal.SIGKILL}
    assert kills
    assert [line.text for line in LogReader(log).lines()] == texts
    again = LogWriter(log, RULES, **SIZES)
    summary = again.summary()
    again.abandon()
    assert (summary.lines, summary.error_count) == (len(texts), len(texts))
    assert [finding.line for finding in summary.errors[-3:]] == [39_998, 39_999, 40_000]


def _live_bytes(log: Path) -> int:
    sizes = 0
    for path in log.glob("*.log"):
        with contextlib.suppress(FileNotFoundError):  # compressed since it was listed
            sizes += path.stat().st_size
    return sizes
