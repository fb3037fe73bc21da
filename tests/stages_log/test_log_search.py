from __future__ import annotations

from pathlib import Path

import pytest

from winslow_dagster.errors import PipelineInvalid
from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.stages.log import LogReader, LogWriter, Stream
from winslow_dagster.stages.log.lines import NS_PER_S
from winslow_dagster.stages.log.search import LogQuery, LogSearch

RULES = LogRules(errors=("ERROR",), warnings=("WARN",))
START_NS = 1_800_000_000 * NS_PER_S
LONG = 3_600.0


@pytest.fixture
def reader(log: Path) -> LogReader:
    """A thousand lines in many segments, one a second; every hundredth is an error on stderr."""
    with LogWriter(log, RULES, segment_bytes=8_000) as writer:
        for number in range(1, 1_001):
            stream: Stream = "stderr" if number % 100 == 0 else "stdout"
            text = f"ERROR at {number}\n" if number % 100 == 0 else f"Tile {number} of ünits\n"
            writer.write(stream, text.encode(), START_NS + number * NS_PER_S)
    reader = LogReader(log)
    assert len(reader.files.names()) > 5
    return reader


def numbers(reader: LogReader, query: LogQuery) -> list[int]:
    """All matching lines, found in steps of no time at all, forwards; backwards they are the same."""
    search = LogSearch(reader, query, RULES)
    forward: list[int] = []
    first: int | None = 1
    while first is not None:
        found = search.forward(first, 7, 0)
        forward += [line.number for line in found.lines]
        first = found.next_line
    backward: list[int] = []
    last: int | None = 1_000
    while last is not None:
        found = search.backward(last, 7, 0)
        backward = [line.number for line in found.lines] + backward
        last = found.next_line
    assert forward == backward
    counted, bins, first = 0, dict[int, int](), 1
    while first is not None:
        tally = search.tally(first, 10, 0)
        counted += tally.count
        bins |= {bin_: bins.get(bin_, 0) + count for bin_, count in tally.bins.items()}
        first = tally.next_line
    assert counted == len(forward)
    assert bins == {bin_: sum((n - 1) // 10 == bin_ for n in forward) for bin_ in {(n - 1) // 10 for n in forward}}
    return forward


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (LogQuery("tile 77"), [77, *range(770, 780)]),
        (LogQuery("Tile 77 "), [77]),
        (LogQuery("TILE"), []),
        (LogQuery("of üni"), [n for n in range(1, 1_001) if n % 100]),
        (LogQuery("1.1"), []),
        (LogQuery(r"^tile \d11 ", regex=True), []),
        (LogQuery(r"^Tile \d11 ", regex=True), [111, 211, 311, 411, 511, 611, 711, 811, 911]),
        (LogQuery(r"9 of ünits$", regex=True), [n for n in range(1, 1_001) if n % 10 == 9]),
        (LogQuery(r"(?-m)^Tile 5$|\ATile 50 ", regex=True), [50]),
        (LogQuery(level="error"), list(range(100, 1_001, 100))),
        (LogQuery(level="warning"), []),
        (LogQuery("00", level="error", stream="stderr"), list(range(100, 1_001, 100))),
        (LogQuery("ERROR", stream="stdout"), []),
        (LogQuery(stream="stderr"), list(range(100, 1_001, 100))),
        (LogQuery(since_ns=START_NS + 990 * NS_PER_S), list(range(990, 1_001))),
        (LogQuery(until_ns=START_NS + 12 * NS_PER_S), list(range(1, 13))),
        (
            LogQuery("1", since_ns=START_NS + 400 * NS_PER_S, until_ns=START_NS + 421 * NS_PER_S),
            [401, *range(410, 420), 421],
        ),
        (LogQuery(since_ns=START_NS + 5_000 * NS_PER_S), []),
        (LogQuery(since_ns=0, until_ns=START_NS), []),
        (LogQuery("2027-"), []),
        (LogQuery(" O Tile"), []),
    ],
    ids=str,
)
def test_a_search_finds_exactly_the_lines_that_meet_all_conditions(
    reader: LogReader, query: LogQuery, expected: list[int]
) -> None:
    assert numbers(reader, query) == expected


def test_colours_do_not_hide_what_a_person_reads(log: Path) -> None:
    with LogWriter(log, RULES) as writer:
        writer.write("stdout", b"\x1b[1;31merror\x1b[0m: \x1b[38;5;208mno\x1b[m disk\n")
    assert numbers(LogReader(log), LogQuery("error: no disk")) == [1]


def test_a_long_line_is_searched_to_its_end_and_bytes_that_are_no_text_hide_nothing(log: Path) -> None:
    with LogWriter(log, RULES) as writer:
        writer.write("stdout", b"x" * 60_000 + b" needle\n" + b"\xff\xfe\x00 needle\n")
    assert numbers(LogReader(log), LogQuery("needle")) == [1, 2]


def test_a_search_of_a_growing_log_goes_on_where_it_ended(log: Path) -> None:
    writer = LogWriter(log, RULES)
    search = LogSearch(LogReader(log), LogQuery("needle"), RULES)
    assert search.forward(1, 10, LONG).lines == ()
    writer.write("stdout", b"one needle\nhay\n")
    assert [line.number for line in search.forward(1, 10, LONG).lines] == [1]
    assert search.backward(2, 10, LONG).next_line is None
    writer.write("stdout", b"another needle\n")
    assert [line.number for line in search.forward(2, 10, LONG).lines] == [3]
    writer.close()


def test_a_search_passes_over_lines_that_were_dropped(log: Path) -> None:
    with LogWriter(log, RULES, segment_bytes=4_096, limit_bytes=60_000) as writer:
        for number in range(1, 20_001):
            writer.write("stdout", f"line {number} {hash((number, 'x'))}\n".encode())
    reader = LogReader(log)
    gap = reader.omitted()
    assert gap is not None
    search = LogSearch(reader, LogQuery("line "), RULES)
    tally = search.tally(1, 1_000, LONG)
    assert tally.count == 20_000 - (gap[1] - gap[0] + 1)
    assert [line.number for line in search.backward(gap[1] + 2, 4, LONG).lines][-2:] == [gap[1] + 1, gap[1] + 2]


def test_a_malformed_expression_is_an_error_that_quotes_it(reader: LogReader) -> None:
    with pytest.raises(PipelineInvalid, match=r"'\(' is not a regular expression"):
        LogSearch(reader, LogQuery("(", regex=True), RULES)


def test_the_first_line_since_a_time_is_found_in_any_segment(reader: LogReader) -> None:
    for number in (1, 2, 500, 999, 1_000):
        assert reader.first_line_since(START_NS + number * NS_PER_S) == number
        assert reader.first_line_since(START_NS + number * NS_PER_S - 1) == number
    assert reader.first_line_since(0) == 1
    assert reader.first_line_since(START_NS + 1_001 * NS_PER_S) == 1_001
