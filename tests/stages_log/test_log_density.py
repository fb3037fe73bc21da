from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.stages.log import LogReader, LogWriter
from winslow_dagster.stages.log.density import BINS, Density

RULES = LogRules(errors=("ERROR",), warnings=("WARN",))


@given(st.lists(st.integers(1, 100_000), max_size=200))
def test_every_finding_is_counted_in_its_range_whatever_the_length_of_the_log(lines: list[int]) -> None:
    density = Density()
    for line in sorted(lines):
        density.add("error", line)
    assert sum(density.errors) == len(lines)
    assert len(density.errors) <= BINS
    for bin_, count in enumerate(density.errors):
        first, last = bin_ * density.width + 1, (bin_ + 1) * density.width
        assert count == sum(first <= line <= last for line in lines)


def test_a_width_is_no_larger_than_the_log_needs() -> None:
    density = Density()
    density.add("warning", BINS * 8)
    assert (density.width, density.warnings[-1], density.errors) == (8, 1, [])


def test_the_density_of_a_growing_log_is_that_of_its_lines_so_far_and_of_a_closed_one_the_same(log: Path) -> None:
    reader = LogReader(log)
    assert reader.density(RULES) == Density()
    writer = LogWriter(log, RULES, segment_bytes=20_000)
    for number in range(1, 3_001):
        writer.write(
            "stdout", b"ERROR %d\n" % number if number % 1_000 == 7 else b"WARN\n" if number == 2_900 else b"ok\n"
        )
    writer.note("ERROR of the runner itself")
    growing = reader.density(RULES)
    assert len(reader.files.names()) > 3
    writer.close()
    assert reader.density(RULES) == growing
    assert (sum(growing.errors), sum(growing.warnings)) == (3, 1)
    assert [bin_ for bin_, count in enumerate(growing.errors) if count] == [
        line // growing.width for line in (6, 1006, 2006)
    ]


def test_a_writer_that_takes_over_counts_no_line_twice(log: Path) -> None:
    for _ in range(3):
        writer = LogWriter(log, RULES, segment_bytes=20_000)
        writer.write("stdout", b"ERROR\n" + b"ok\n" * 999)
        writer.abandon()
    LogWriter(log, RULES).close()
    assert sum(LogReader(log).density(RULES).errors) == 3
