from __future__ import annotations

import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from winslow_dagster.errors import PipelineInvalid, StoreError
from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.stages.log import LogReader, LogWriter, StreamMirror
from winslow_dagster.stages.log.cursor import Cursor
from winslow_dagster.stages.log.printed import PrintedText
from winslow_dagster.stages.log.reader import StoredFiles
from winslow_dagster.stages.log.segments import Directory
from winslow_dagster.storage.factory import open_store

NOW = 1_800_000_000_000_000_000
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["winslow_dagster.stages.log"])  # each starts in milliseconds


def write_numbers(log: Path, first: int, last: int, *, segment_bytes: int, limit_bytes: int) -> None:
    """In another process: a line per number, and the log's end."""
    with LogWriter(log, LogRules(), segment_bytes=segment_bytes, limit_bytes=limit_bytes) as writer:
        for number in range(first, last + 1):
            writer.write("stdout" if number % 3 else "stderr", f"{number} {os.urandom(8).hex()}\n".encode())


@pytest.fixture
def thousand(log: Path) -> LogReader:
    with LogWriter(log, LogRules(), segment_bytes=4_000) as writer:
        for number in range(1, 1_001):
            stream = "stdout" if number % 10 else "stderr"
            writer.write(stream, f"line {number} of [1000]\n".encode(), NOW + number)
    return LogReader(log)


def test_any_part_of_a_log_can_be_read(thousand: LogReader) -> None:
    assert [line.number for line in thousand.lines()] == list(range(1, 1_001))
    assert [line.number for line in thousand.lines(first=437, last=441)] == [437, 438, 439, 440, 441]
    assert [line.text for line in thousand.lines(first=1_000)] == ["line 1000 of [1000]"]
    assert list(thousand.lines(first=1_001)) == []


@pytest.mark.parametrize("max_bytes", [1, 500, 10_000, 1_000_000])
def test_windows_one_after_the_other_are_the_whole_log(thousand: LogReader, max_bytes: int) -> None:
    numbers, next_line, ended = [], 1, False
    while not ended:
        window = thousand.window(next_line, max_bytes)
        assert len(window.lines) <= 1 or sum(len(line.text) + 1 for line in window.lines) <= max_bytes
        numbers += [line.number for line in window.lines]
        next_line, ended = window.next_line, window.ended
    assert numbers == list(range(1, 1_001))
    assert next_line == 1_001


def test_lines_are_found_by_stream_text_and_expression(thousand: LogReader) -> None:
    assert [line.number for line in thousand.lines(streams=["stderr"], last=30)] == [10, 20, 30]
    assert [line.number for line in thousand.lines(contains="50 of [")] == list(range(50, 1_000, 100))
    assert [line.number for line in thousand.lines(grep=r"^line \d{2}7 ")] == list(range(107, 1_000, 10))


def test_stamps_are_not_searched(thousand: LogReader) -> None:
    assert list(thousand.lines(contains="2027-")) == []


def test_a_bad_expression_is_named(thousand: LogReader) -> None:
    with pytest.raises(PipelineInvalid, match="not a regular expression in RE2 syntax"):
        list(thousand.lines(grep="("))


def test_the_tail_is_the_last_lines(thousand: LogReader) -> None:
    assert [line.number for line in thousand.tail(3)] == [998, 999, 1_000]
    assert len(list(thousand.tail(5_000))) == 1_000


def test_a_log_that_is_not_there_yet_is_empty(log: Path) -> None:
    reader = LogReader(log)
    assert list(reader.lines()) == []
    assert list(reader.tail(5)) == []
    assert not reader.ended


def test_a_log_without_a_line_ends_too(log: Path, rules: LogRules) -> None:
    LogWriter(log, rules).close()
    assert LogReader(log).ended
    assert list(LogReader(log).follow()) == []


def test_a_stored_log_reads_like_a_local_one(thousand: LogReader, log: Path, tmp_path: Path) -> None:
    expected = list(thousand.lines())
    store = open_store((tmp_path / "store").as_uri(), None)
    manifest = store.commit_tree(log, "projects/a/log")
    assert list(LogReader.stored(store, manifest).lines()) == expected
    far_away = LogReader(StoredFiles(store, manifest))
    assert list(far_away.lines()) == expected
    assert list(far_away.follow(first=999)) == expected[-2:]


@pytest.mark.parametrize("limit_bytes", [100_000_000, 40_000])
def test_a_log_that_has_ended_is_one_text_that_is_read_from_any_byte_on(
    log: Path, tmp_path: Path, limit_bytes: int
) -> None:
    reader = LogReader(log)
    with LogWriter(log, LogRules(), segment_bytes=4_000, limit_bytes=limit_bytes) as writer:
        for number in range(1, 3_001):
            writer.write(
                "stdout" if number % 10 else "stderr", b"%d \xff\x0b %b\n" % (number, os.urandom(8).hex().encode())
            )
        assert reader.whole_text() is None, "it may grow"
    expected = b"".join(reader.printed())
    assert (b"lines omitted" in expected) == (limit_bytes == 40_000)
    assert expected.split(b"\n")[-2].startswith(b"3000 \xff\x0b ")
    some_lines = b"".join(reader.printed(2, 3))
    assert some_lines == b"".join(line + b"\n" for line in expected.split(b"\n")[1:3])

    def check(text: PrintedText | None) -> None:
        assert text is not None
        assert text.size_bytes == len(expected)
        for begin in (0, 1, 3_999, text.size_bytes // 2, text.size_bytes - 1, text.size_bytes):
            assert b"".join(text.pieces(begin, text.size_bytes)) == expected[begin:]
        assert b"".join(text.pieces(777, 7_777)) == expected[777:7_777]

    check(reader.whole_text())
    store = open_store((tmp_path / "store").as_uri(), None)
    manifest = store.commit_tree(log, "projects/a/log")  # which moves it
    far_away = StoredFiles(store, manifest)
    check(LogReader(far_away).whole_text())
    tree = store.read_only_path(manifest)
    assert tree is not None
    (tree / "000000000001.log.zst").chmod(0o600)
    (tree / "000000000001.log.zst").write_bytes(b"damaged")
    with pytest.raises(StoreError):
        LogReader(tree).whole_text()


@pytest.mark.parametrize("limit_bytes", [100_000_000, 60_000])
def test_a_log_is_followed_while_another_process_writes_rotates_and_drops(log: Path, limit_bytes: int) -> None:
    writer = processes.Process(
        target=write_numbers, args=(log, 1, 20_000), kwargs={"segment_bytes": 5_000, "limit_bytes": limit_bytes}
    )
    writer.start()
    expected = 1
    for line in LogReader(log).follow():
        assert line.number == expected
        expected += 1
        if line.stream == "winslow":
            expected = int(line.text.partition(" to ")[2].partition(")")[0].replace(",", "")) + 1
        else:
            assert line.text.startswith(f"{line.number} ")
            assert line.stream == ("stdout" if line.number % 3 else "stderr")
    assert expected == 20_001
    writer.join()
    assert writer.exitcode == 0


def test_following_ends_when_it_is_asked_to(log: Path, rules: LogRules) -> None:
    stop = threading.Event()
    writer = LogWriter(log, rules)
    writer.write("stdout", b"one\ntwo\n", NOW)
    seen = []
    for line in LogReader(log).follow(stop=stop):
        seen.append(line.text)
        if line.number == 2:
            stop.set()
    writer.abandon()
    assert seen == ["one", "two"]


def test_a_line_is_not_seen_before_it_is_complete(log: Path) -> None:
    log.mkdir()
    path = log / "000000000001.log"
    path.write_bytes(b"2026-01-02T03:04:05.000000000Z O one\n2026-01-02T03:04:05.000000000Z O t")
    with Cursor(Directory(log)) as cursor:
        assert [block.stored[33:] for block in cursor.blocks()] == [b"one\n"]
        assert list(cursor.blocks()) == []
        with path.open("ab") as file:
            file.write(b"wo\n")
        assert [(block.first_line, block.stored[33:]) for block in cursor.blocks()] == [(2, b"two\n")]


def test_a_reader_keeps_its_place_while_a_segment_is_compressed(log: Path, rules: LogRules) -> None:
    writer = LogWriter(log, rules, segment_bytes=400)
    with Cursor(Directory(log)) as cursor:
        seen = []
        for number in range(200):
            writer.write("stdout", b"line %d\n" % number, NOW)
            if not number % 3:
                seen += [block.stored for block in cursor.blocks()]
        writer.close()
        seen += [block.stored for block in cursor.blocks()]
    assert [line[33:] for line in b"".join(seen)[:-1].split(b"\n")] == [b"line %d" % n for n in range(200)]


def test_a_mirror_shows_what_the_stage_printed(log: Path, tmp_path: Path, rules: LogRules) -> None:
    out, err = tmp_path / "logs" / "a.out", tmp_path / "logs" / "a.err"
    writer = LogWriter(log, rules, segment_bytes=500)
    with StreamMirror(LogReader(log), out, err, limit_bytes=10_000, note="more") as mirror:
        assert mirror.pump() == 0
        for number in range(100):
            writer.write("stdout", f"out {number}\n".encode(), NOW)
            writer.write("stderr", "Größe \x00\n".encode(), NOW)
            if not number % 7:
                assert mirror.pump() > 0
        writer.close()
        mirror.pump()
        assert mirror.pump() == 0
        assert not mirror.full
    assert out.read_text() == "".join(f"out {number}\n" for number in range(100))
    assert err.read_text() == "Größe \x00\n" * 100


def test_a_mirror_stops_at_its_limit_and_says_where_the_log_goes_on(log: Path, tmp_path: Path, rules: LogRules) -> None:
    out, err = tmp_path / "a.out", tmp_path / "a.err"
    with LogWriter(log, rules, segment_bytes=500) as writer:
        writer.write("stdout", b"".join(b"out %02d\n" % number for number in range(50)), NOW)
        writer.write("stderr", b"err\n", NOW)
    note = "log goes on: `winslow logs ulm-07 detect`"
    with StreamMirror(LogReader(log), out, err, limit_bytes=45, note=note) as mirror:
        mirror.pump()
    assert out.read_text() == "".join(f"out {number:02d}\n" for number in range(6)) + note + "\n"
    assert err.read_text() == "err\n"


def test_a_mirror_started_again_begins_from_the_first_line(log: Path, tmp_path: Path, rules: LogRules) -> None:
    out, err = tmp_path / "a.out", tmp_path / "a.err"
    with LogWriter(log, rules) as writer:
        writer.write("stdout", b"one\ntwo\n", NOW)
    for _ in range(2):
        with StreamMirror(LogReader(log), out, err, limit_bytes=1_000, note="more") as mirror:
            mirror.pump()
    assert out.read_text() == "one\ntwo\n"
