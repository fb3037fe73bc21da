from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.stages.log.assembly import LINE_LIMIT_BYTES, LineAssembler
from winslow_dagster.stages.log.lines import nanoseconds, parse_stamp, parsed, stamp, stamped

LINE_PARTS = st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b"\x00", b"\xff", "ü".encode(), b"10%", b"long " * 30])


def assembled(chunks: list[bytes]) -> tuple[bytes, bytes]:
    assembler = LineAssembler()
    done = [*[assembler.feed(chunk) for chunk in chunks], assembler.end()]
    return b"".join(part.lines for part in done), b"".join(part.updates for part in done)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def as_a_terminal_shows(data: bytes) -> list[bytes]:
    """The specification in its simplest form: what stands in each line once all carriage returns are carried out."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [line.rstrip(b"\r").rpartition(b"\r")[2] for line in lines]


@given(st.lists(LINE_PARTS).map(b"".join) | st.binary(max_size=300), st.lists(st.integers(0, 10_000), max_size=20))
def test_lines_and_updates_do_not_depend_on_the_chunks(data: bytes, places: list[int]) -> None:
    assert assembled(cut(data, places)) == assembled([data])


@given(st.lists(LINE_PARTS).map(b"".join) | st.binary(max_size=300))
def test_a_line_is_stored_as_a_terminal_shows_it_in_the_end(data: bytes) -> None:
    lines, _ = assembled([data])
    assert lines == b"".join(line + b"\n" for line in as_a_terminal_shows(data))


def test_a_progress_bar_is_one_line_and_many_updates() -> None:
    lines, updates = assembled([b"\r 10%|#   ", b"|\r 20%", b"\r100%\ndone\n"])
    assert lines == b"100%\ndone\n"
    assert [update for update in updates.split(b"\n") if update] == [b" 10%|#   |", b" 20%", b"100%", b"done"]


def test_a_progress_bar_that_never_ends_takes_no_memory() -> None:
    assembler = LineAssembler()
    for percent in range(10_000):
        done = assembler.feed(b"\r" + b"#" * 100 + b"%d" % percent)
        assert not done.lines
    assert len(assembler._head) < 200


def test_a_line_of_100_mb_is_cut_and_says_so() -> None:
    assembler = LineAssembler()
    megabyte = b"x" * 1_000_000
    for _ in range(100):
        assert not assembler.feed(megabyte).lines
        assert len(assembler._head) <= LINE_LIMIT_BYTES
    line = assembler.feed(b"\nnext\n").lines
    left_out = 100_000_000 - LINE_LIMIT_BYTES
    assert line == b"x" * LINE_LIMIT_BYTES + f" … [{left_out:,} more bytes of this line omitted]\nnext\n".encode()


@given(st.integers(0, 2 * LINE_LIMIT_BYTES), st.integers(0, 2 * LINE_LIMIT_BYTES))
def test_long_lines_are_cut_alike_however_they_come(before: int, after: int) -> None:
    data = b"first\n" + b"x" * before + b"y" * after + b"\nlast\n"
    assert assembled([data[: 6 + before], data[6 + before :]]) == assembled([data])


@given(st.integers(0, 4_000_000_000 * 10**9))
def test_a_stamp_is_read_back_to_the_nanosecond(at_ns: int) -> None:
    assert parse_stamp(stamp(at_ns)) == at_ns
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", stamp(at_ns))


def test_a_stored_line_is_readable_and_comes_back() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
    stored = stamped(b"one\nt\xc3\xbcwo \xff\n", "stderr", nanoseconds(at))
    assert stored == (b"2026-01-02T03:04:05.678901000Z E one\n2026-01-02T03:04:05.678901000Z E t\xc3\xbcwo \xff\n")
    line = parsed(stored.split(b"\n")[1], 7)
    assert (line.number, line.at, line.stream, line.text) == (7, at, "stderr", "tüwo \ufffd")
