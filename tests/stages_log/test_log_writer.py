from __future__ import annotations

import itertools
import os
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winslow_dagster.pipelines.model.stage_rules import LogRules, ProgressRule
from winslow_dagster.stages.log import Entry, LogLine, LogReader, LogWriter, Stream
from winslow_dagster.stages.log.checkpoint import StreamPoint
from winslow_dagster.stages.log.segments import CHECKPOINT, Directory, segments
from winslow_dagster.stages.task.model import LogSummary

NOW = 1_800_000_000_000_000_000
S = 1_000_000_000
RULES = LogRules(
    progress=(ProgressRule(subject="frames", pattern=r"(?P<current>\d+)/9"),),
    warnings=("warn",),
    errors=("error",),
)
PART = st.sampled_from(
    [b"warn", b"error ", b"3/9", b"\r", b"\n", b"\n", b"\r\n", b"\xff", b"\x00", b"WINSLOW_RESULT: a=1", b"x" * 40]
)
DATA = st.lists(PART, max_size=60).map(b"".join) | st.binary(max_size=200)
PLACES = st.lists(st.integers(0, 5_000), max_size=12)


@contextmanager
def new_log() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory) / "log"


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def written(chunks: list[bytes], segment_bytes: int) -> tuple[list[LogLine], LogSummary]:
    with new_log() as log:
        with LogWriter(log, RULES, segment_bytes=segment_bytes) as writer:
            for chunk in chunks:
                writer.write("stdout", chunk, NOW)
        return list(LogReader(log).lines()), writer.summary(NOW)


def after_lines(data: bytes, point: StreamPoint) -> int:
    """What a source does: go on so many lines after an offset."""
    offset = point.offset_bytes
    for _ in range(point.skip_lines):
        offset = data.index(b"\n", offset) + 1
    return offset


@settings(max_examples=60)
@given(DATA, PLACES)
def test_lines_and_summary_do_not_depend_on_chunks_or_segments(data: bytes, places: list[int]) -> None:
    assert written(cut(data, places), 100) == written([data], 1_000_000)


@settings(max_examples=80)
@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), DATA), max_size=12), st.data())
def test_a_crash_at_any_byte_loses_and_doubles_nothing(chunks: list[tuple[Stream, bytes]], data: st.DataObject) -> None:
    sources: dict[Stream, bytes] = {
        stream: b"".join(chunk for of, chunk in chunks if of == stream) for stream in ("stdout", "stderr")
    }
    with new_log() as log:
        done = data.draw(st.integers(0, len(chunks)), label="chunks before the crash")
        writer = LogWriter(log, RULES, segment_bytes=300)
        for stream, chunk in chunks[:done]:
            writer.write(stream, chunk, NOW)
        writer.abandon()
        live = [log / segment.name for segment in segments(Directory(log).names()) if segment.suffix == ".log"][-1:]
        for path in live:
            os.truncate(path, data.draw(st.integers(0, path.stat().st_size), label="bytes that reached the disk"))
        with LogWriter(log, RULES, segment_bytes=300) as writer:
            points = writer.resume_point().sources
            for stream, source in sources.items():
                offset = after_lines(source, points[stream])
                writer.source_at(stream, offset)
                writer.write(stream, source[offset:], NOW)
        lines = list(LogReader(log).lines())
        for stream, source in sources.items():
            expected, _ = written([source], 1_000_000)
            assert [line.text for line in lines if line.stream == stream] == [line.text for line in expected]
        assert [line.number for line in lines] == list(range(1, len(lines) + 1))
        counted = writer.summary(NOW)
        assert counted.lines == len(lines)
        assert counted.warning_count == sum("warn" in line.text for line in lines)
        assert counted.error_count == sum("error" in line.text for line in lines)
        assert counted.size_bytes >= sum(len(line.text) + 1 for line in lines)


def test_after_a_crash_the_summary_is_what_it_was(log: Path, rules: LogRules) -> None:
    writer = LogWriter(log, rules, segment_bytes=2_000)
    for second in range(100):
        text = f"frame {second}/1000\nwarning {second}\nError {second}\nWINSLOW_RESULT: k{second % 7}={second}\n"
        writer.write("stdout", text.encode(), NOW + second * S)
    before = writer.summary(NOW + 100 * S)
    writer.abandon()
    again = LogWriter(log, rules, segment_bytes=2_000)
    after = again.summary(NOW + 100 * S)
    again.abandon()
    exact = {"progress"}
    assert after.model_dump(exclude=exact) == before.model_dump(exclude=exact)
    assert after.progress[0].current == 99
    assert after.progress[0].elapsed_s == pytest.approx(before.progress[0].elapsed_s, abs=25)
    assert after.progress[0].remaining_s == pytest.approx(before.progress[0].remaining_s, rel=0.05)


def test_without_a_usable_checkpoint_the_log_is_read_anew(log: Path, rules: LogRules) -> None:
    writer = LogWriter(log, rules, segment_bytes=1_000)
    writer.write("stderr", b"Error\n" * 500, NOW)
    before = writer.summary(NOW)
    writer.abandon()
    (log / CHECKPOINT).write_bytes(b'{"version": 1, "lin')
    again = LogWriter(log, rules, segment_bytes=1_000)
    assert again.summary(NOW) == before
    again.abandon()


def test_streams_are_told_apart_and_stamped(log: Path, rules: LogRules) -> None:
    with LogWriter(log, rules) as writer:
        writer.write("stdout", b"out ", NOW)
        writer.write("stderr", b"err\n", NOW + 1)
        writer.write("stdout", b"put\n", NOW + 2)
        writer.write("winslow", b"Error: not the stage's\n", NOW + 3)
    lines = list(LogReader(log).lines())
    assert [(line.number, line.stream, line.text, line.at_ns - NOW) for line in lines] == [
        (1, "stderr", "err", 1),
        (2, "stdout", "out put", 2),
        (3, "winslow", "Error: not the stage's", 3),
    ]
    assert writer.summary(NOW).error_count == 0


def test_a_last_line_without_a_line_feed_is_kept(log: Path, rules: LogRules) -> None:
    with LogWriter(log, rules) as writer:
        writer.write("stdout", b"one\nError two", NOW)
        assert writer.summary(NOW).lines == 1
    assert [line.text for line in LogReader(log).lines()] == ["one", "Error two"]
    assert writer.summary(NOW).error_count == 1
    again = LogWriter(log, rules)
    assert again.resume_point().sources["stdout"].offset_bytes == len(b"one\nError two")
    again.abandon()


def test_a_progress_bar_moves_progress_before_its_line_ends(log: Path, rules: LogRules) -> None:
    with LogWriter(log, rules) as writer:
        for percent in range(0, 50, 5):
            writer.write("stderr", b"\rexport: %d%%" % percent, NOW + percent * S)
        summary = writer.summary(NOW + 45 * S)
        assert summary.lines == 0
        assert summary.progress[0].current == 40  # the state before the last, which may not be complete
    assert [line.text for line in LogReader(log).lines()] == ["export: 45%"]


def test_a_log_over_its_limit_keeps_its_head_and_its_tail_and_says_what_is_missing(log: Path, rules: LogRules) -> None:
    limit_bytes = 200_000
    with LogWriter(log, rules, segment_bytes=10_000, limit_bytes=limit_bytes) as writer:
        for number in range(1, 20_001):
            writer.write("stdout", f"{number} {os.urandom(20).hex()}\n".encode(), NOW + number)
            if not number % 50:
                assert sum(_size(path) for path in log.iterdir() if path.name != CHECKPOINT) <= limit_bytes
    lines = list(LogReader(log).lines())
    assert lines[0].text.startswith("1 ")
    assert lines[-1].text.startswith("20000 ")
    (mark,) = [line for line in lines if line.stream == "winslow"]
    place = lines.index(mark)
    first, last = mark.number, lines[place + 1].number - 1
    missing = f"{last - first + 1:,} lines omitted ({first:,} to {last:,})"
    assert mark.text == f"… {missing}: the log exceeded its size limit"
    assert all(line.text.startswith(f"{line.number} ") for line in lines if line is not mark)
    assert lines[place - 1].number == first - 1
    assert writer.summary(NOW).lines == 20_000
    head_bytes = sum(len(line.text) + 34 for line in lines[:place])
    assert 0.1 * limit_bytes < head_bytes < limit_bytes
    assert len(list(log.glob("*.left_out"))) == 1


def test_a_restart_goes_on_dropping_where_it_was(log: Path, rules: LogRules) -> None:
    for part in range(6):
        writer = LogWriter(log, rules, segment_bytes=2_000, limit_bytes=20_000)
        for number in range(part * 500 + 1, part * 500 + 501):
            writer.write("stdout", f"{number} {os.urandom(20).hex()}\n".encode(), NOW)
        writer.abandon()
    lines = list(LogReader(log).lines())
    (mark,) = [line for line in lines if line.stream == "winslow"]
    assert all(line.text.startswith(f"{line.number} ") for line in lines if line is not mark)
    assert lines[-1].number == 3_000


def test_half_done_steps_of_a_killed_writer_are_finished(log: Path, rules: LogRules) -> None:
    with LogWriter(log, rules, segment_bytes=500) as writer:
        writer.write("stdout", b"".join(b"line %d\n" % n for n in range(1, 101)), NOW)
    before = list(LogReader(log).lines())
    first, second, *_ = segments(Directory(log).names())
    (log / f"{first.first_line:012d}.log").write_bytes(b"compressed, and not yet removed")
    (log / f"{second.first_line:012d}.left_out").write_bytes(b"marked, and not yet dropped")
    (log / "000000000001.log.zst.tmp").write_bytes(b"half")
    again = LogWriter(log, rules, segment_bytes=500)
    again.abandon()
    assert list(LogReader(log).lines()) == before
    plain = [path for path in log.iterdir() if path.suffix not in {".zst", ".json"}]
    assert [path.suffix for path in plain] == [".log"]  # the last, which is too short to be compressed


def test_memory_is_bounded_whatever_is_written(log: Path, rules: LogRules) -> None:
    with LogWriter(log, rules, segment_bytes=200_000, limit_bytes=2_000_000) as writer:
        writer.write("stdout", b"Error\n", NOW)  # what is built at the first use is not counted
        megabyte = b"x" * 1_000_000
        tracemalloc.start()
        for _ in range(20):
            writer.write("stdout", megabyte, NOW)
        writer.write("stdout", b"\n" * 1_000_000, NOW)
        writer.write("stderr", b"Error\n" * 20_000, NOW)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak_bytes < 4_000_000


def test_entries_are_stored_as_single_writes_are(tmp_path: Path, rules: LogRules) -> None:
    entries = [
        Entry("stdout", NOW + 1, b"frame 1/10\n"),
        Entry("stderr", NOW + 2, b"warning\r\n"),
        Entry("stdout", NOW + 3, b"long "),
        Entry("stdout", NOW + 3, b"line\n"),
        Entry("stderr", NOW + 3, b"\n"),
        *[Entry("stdout", NOW + 4 + n, b"Error %d\n" % n) for n in range(500)],
    ]
    with LogWriter(tmp_path / "a", rules, segment_bytes=3_000) as together:
        together.write_entries(entries)
    with LogWriter(tmp_path / "b", rules, segment_bytes=3_000) as single:
        for stream, at_ns, payload in entries:
            single.write(stream, payload, at_ns)
    assert list(LogReader(tmp_path / "a").lines()) == list(LogReader(tmp_path / "b").lines())
    assert together.summary(NOW) == single.summary(NOW)


def test_a_full_disk_is_an_os_error_and_another_writer_goes_on(log: Path, rules: LogRules) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    writer = LogWriter(log, rules)
    writer.write("stdout", b"one\n", NOW)
    live = writer._segments._file
    assert live is not None
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, live)
    os.close(full)
    with pytest.raises(OSError, match="No space left"):
        writer.write("stdout", b"two\n", NOW)
    writer.abandon()
    with LogWriter(log, rules) as again:
        assert again.resume_point().line == 1
        again.write("stdout", b"two\n", NOW)
    assert [line.text for line in LogReader(log).lines()] == ["one", "two"]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # compressed since it was listed
        return 0


def test_unfinished_last_lines_are_stored_in_the_order_in_which_they_were_printed(log: Path) -> None:
    with LogWriter(log, LogRules()) as writer:
        writer.write("stderr", b"second thoughts", NOW)
        writer.write("stdout", b"last words", NOW + 1)
    assert [line.text for line in LogReader(log).lines()] == ["second thoughts", "last words"]


def test_a_writer_that_is_reopened_goes_on_after_the_last_whole_line(log: Path) -> None:
    with LogWriter(log, LogRules(errors=("bad",))) as writer:
        writer.write("stdout", b"bad one\nbad t", NOW)
        writer.reopen()
        assert writer.resume_point().sources["stdout"].skip_lines == 1
        writer.write("stdout", b"bad two\n", NOW)
    assert [line.text for line in LogReader(log).lines()] == ["bad one", "bad two"]
    assert writer.summary().error_count == 2
