from __future__ import annotations

import itertools
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.pipelines.model.stage_rules import LogRules, ProgressRule
from winslow_dagster.stages.log import DockerLogDemuxer, Entry, LogReader, LogWriter
from winslow_dagster.stages.log.lines import stamp

NOW = 1_800_000_000_123_456_789
S = 1_000_000_000
SECOND_OF_DISORDER = 0.9


@st.composite
def logs(draw: st.DrawFn) -> list[Entry]:
    """What a daemon has of a container: each stream in order, often two lines at one moment, stderr stamped late.

    Two equal lines never have the same moment: the daemon takes longer than that for one.
    """
    lines = draw(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=40)), max_size=25))
    late_ns = draw(st.integers(0, int(SECOND_OF_DISORDER * S)))
    entries = [
        Entry(stream, NOW + place // 2 * S // 4 + (late_ns if stream == "stderr" else 0), payload)
        for place, (stream, text) in enumerate(lines)
        for payload in [text.replace(b"\n", b"") + b"\n"]
    ]
    return list(dict.fromkeys(entries))


def frame(entry: Entry) -> bytes:
    payload = stamp(entry.at_ns) + b" " + entry.payload
    return struct.pack(">BxxxL", 1 if entry.stream == "stdout" else 2, len(payload)) + payload


def demuxed(data: bytes, places: list[int]) -> list[Entry]:
    demuxer = DockerLogDemuxer()
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [entry for start, end in itertools.pairwise(edges) for entry in demuxer.feed(data[start:end])]


@given(logs(), st.lists(st.integers(0, 2_000), max_size=20))
def test_frames_survive_being_cut_anywhere(entries: list[Entry], places: list[int]) -> None:
    assert demuxed(b"".join(map(frame, entries)), places) == entries


def test_frames_survive_being_cut_at_every_byte() -> None:
    entries = [Entry("stdout", NOW, b"one\n"), Entry("stderr", NOW + 1, b""), Entry("stdout", NOW + S, b"two")]
    data = b"".join(map(frame, entries))
    assert demuxed(data, list(range(len(data)))) == entries


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05.123456789Z",
        "2026-01-02T05:04:05.123456789+02:00",
        "2026-01-01T20:34:05.123456789-06:30",
    ],
)
def test_stamps_of_every_daemon_are_understood(text: str) -> None:
    payload = text.encode() + b" hello\n"
    (entry,) = DockerLogDemuxer().feed(struct.pack(">BxxxL", 1, len(payload)) + payload)
    assert stamp(entry.at_ns) == b"2026-01-02T03:04:05.123456789Z"
    assert entry.payload == b"hello\n"


@pytest.mark.parametrize(
    ("text", "digits"), [("05Z", "000000000"), ("05.5Z", "500000000"), ("05.12+00:00", "120000000")]
)
def test_stamps_with_fewer_digits_are_understood(text: str, digits: str) -> None:
    payload = f"2026-01-02T03:04:{text} hello\n".encode()
    (entry,) = DockerLogDemuxer().feed(struct.pack(">BxxxL", 1, len(payload)) + payload)
    assert stamp(entry.at_ns) == f"2026-01-02T03:04:05.{digits}Z".encode()


@settings(max_examples=60)
@given(logs(), st.data())
def test_a_connection_taken_up_again_loses_and_doubles_nothing(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry], data: st.DataObject
) -> None:
    log = tmp_path_factory.mktemp("log")
    stream = b"".join(map(frame, entries))
    writer = LogWriter(log, LogRules(), segment_bytes=300)
    demuxer = DockerLogDemuxer()
    broken_at = data.draw(st.integers(0, len(stream)))
    writer.write_entries(demuxer.feed(stream[:broken_at]))
    if data.draw(st.booleans(), label="the runner died, not only the connection"):
        writer.abandon()
        writer = LogWriter(log, LogRules(), segment_bytes=300)
    point = writer.resume_point()
    again = b"".join(frame(entry) for entry in entries if entry.at_ns >= point.since_ns)
    with writer:
        writer.write_entries(DockerLogDemuxer(point.stored).feed(again))
    expected = [
        (entry.stream, entry.at_ns, entry.payload[:-1].rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace"))
        for entry in entries
    ]
    assert [(line.stream, line.at_ns, line.text) for line in LogReader(log).lines()] == expected


def test_a_long_line_that_came_in_several_frames_is_known_again(log: Path) -> None:
    frames = [Entry("stdout", NOW, b"x" * 16_384), Entry("stdout", NOW, b"y\n"), Entry("stdout", NOW + 1, b"next\n")]
    stream = b"".join(map(frame, frames))
    writer = LogWriter(log, LogRules())
    writer.write_entries(DockerLogDemuxer().feed(stream))
    point = writer.resume_point()
    with writer:
        writer.write_entries(DockerLogDemuxer(point.stored).feed(stream + frame(Entry("stdout", NOW + 2, b"new\n"))))
    assert [line.text[-4:] for line in LogReader(log).lines()] == ["xxxy", "next", "new"]


def test_both_streams_may_have_a_line_of_the_same_moment(log: Path) -> None:
    done = frame(Entry("stdout", NOW, b"done\n"))
    writer = LogWriter(log, LogRules())
    writer.write_entries(DockerLogDemuxer().feed(done + frame(Entry("stderr", NOW, b"7% "))))
    point = writer.resume_point()
    with writer:
        again = frame(Entry("stderr", NOW, b"7% ")) + done + frame(Entry("stderr", NOW, b"8%\n"))
        writer.write_entries(DockerLogDemuxer(point.stored).feed(again))
    assert [(line.stream, line.text) for line in LogReader(log).lines()] == [("stdout", "done"), ("stderr", "7% 8%")]


def test_lines_that_arrived_late_are_known_again(log: Path) -> None:
    lines = [Entry("stdout", NOW + number, b"%d\n" % number) for number in range(100)]
    late = lines[:10] + lines[50:] + lines[10:50]
    writer = LogWriter(log, LogRules(), segment_bytes=300)
    for entry in late:
        writer.write_entries([entry])
    point = writer.resume_point()
    with writer:
        writer.write_entries(DockerLogDemuxer(point.stored).feed(b"".join(map(frame, lines))))
    assert [line.text for line in LogReader(log).lines()] == [entry.payload[:-1].decode() for entry in late]


def test_what_a_daemon_repeats_after_a_rotation_is_dropped() -> None:
    entries = [
        Entry("stdout" if number % 3 else "stderr", NOW + number // 2 * 2, b"%d\n" % number) for number in range(60_000)
    ]
    sent = entries[:50_000] + entries[10_000:50_000] + entries[49_000:]
    assert DockerLogDemuxer().feed(b"".join(map(frame, sent))) == entries


@pytest.mark.parametrize("begun", [[b"1\n"], [b"x" * 16_384, b"x" * 16_384, b"end\n"], [b"\n"]])
def test_the_first_line_of_a_rotated_file_is_not_doubled(begun: list[bytes]) -> None:
    """The daemon had read nothing but that line of the file when it began it again."""
    first = [Entry("stdout", NOW, piece) for piece in begun]
    later = [Entry("stdout", NOW + number, b"2\n") for number in (1, 2)]
    sent = first + first + later
    assert DockerLogDemuxer().feed(b"".join(map(frame, sent))) == first + later


def test_a_clock_that_is_set_back_loses_no_line() -> None:
    entries = [Entry("stdout", NOW + (number % 600) * 1_000_003 + number, b"%d\n" % number) for number in range(1_000)]
    assert DockerLogDemuxer().feed(b"".join(map(frame, entries))) == entries


def test_a_long_line_whose_end_the_daemon_forgot_does_not_swallow_the_next(log: Path) -> None:
    frames = [Entry("stdout", NOW, b"x" * 16_384), Entry("stdout", NOW, b"y"), Entry("stdout", NOW + 1, b"next\n")]
    stream = b"".join(map(frame, frames))
    for _ in range(2):
        writer = LogWriter(log, LogRules())
        writer.write_entries(DockerLogDemuxer(writer.resume_point().stored).feed(stream))
        writer.abandon()
    assert [line.text[-4:] for line in LogReader(log).lines()] == ["xxxy", "next"]


def test_an_unfinished_line_is_not_forgotten_when_nothing_follows_a_resume_point(log: Path) -> None:
    with LogWriter(log, LogRules()) as writer:
        writer.write_entries([Entry("stdout", NOW, b"one\n"), Entry("stdout", NOW + 1, b"no line feed")])
        assert writer.resume_point().at_ns == NOW + 1
    assert [(line.text, line.at_ns) for line in LogReader(log).lines()] == [("one", NOW), ("no line feed", NOW + 1)]


def test_a_progress_bar_of_hours_moves_on_after_a_restart(log: Path) -> None:
    """Docker stamps every piece of an unfinished line as its first, hours before the lines of the other stream."""
    rules = LogRules(progress=(ProgressRule(subject="bar", pattern=r"(?P<percent>\d+)%"),))
    lines = [Entry("stdout", NOW + second * S, b"epoch %d\n" % second) for second in range(100)]
    bar = [Entry("stderr", NOW + S // 2, b"\r%d%%" % percent) for percent in range(100)]
    entries = [*lines[:2], *itertools.chain.from_iterable(zip(bar, lines[2:], strict=False))]
    entries.append(Entry("stderr", NOW + S // 2, b"\r100%\n"))
    writer = LogWriter(log, rules)
    for entry in entries[:100]:
        writer.write_entries([entry])
    writer.abandon()
    with LogWriter(log, rules) as writer:
        point = writer.resume_point()
        assert point.since_ns <= NOW + S // 2
        again = b"".join(frame(entry) for entry in entries if entry.at_ns >= point.since_ns)
        writer.write_entries(DockerLogDemuxer(point.stored).feed(again))
        assert writer.summary().progress[0].current == 100
    stored = [(line.stream, line.text) for line in LogReader(log).lines()]
    assert stored == [*[("stdout", f"epoch {second}") for second in range(100)], ("stderr", "100%")]


def test_a_word_of_the_runner_does_not_hide_what_the_container_said_before_it(log: Path) -> None:
    writer = LogWriter(log, LogRules())
    writer.write_entries([Entry("stdout", NOW, b"one\n")])
    writer.write("winslow", b"the stage is paused until its log is read\n", NOW + 100 * S)
    assert writer.resume_point().since_ns <= NOW
    writer.abandon()
    with LogWriter(log, LogRules()) as again:
        assert again.resume_point().since_ns <= NOW


def test_an_error_of_the_daemon_is_told() -> None:
    with pytest.raises(ServiceUnavailable, match="the log ended early: disk on fire"):
        DockerLogDemuxer().feed(struct.pack(">BxxxL", 3, 13) + b"disk on fire\n")


def test_a_container_with_a_terminal_is_told_from_a_log() -> None:
    with pytest.raises(ServiceUnavailable, match="without a terminal"):
        DockerLogDemuxer().feed(b"2026-01-02T03:04:05.123456789Z plain text\n")


def test_a_line_without_a_stamp_is_told() -> None:
    with pytest.raises(ServiceUnavailable, match="expected a timestamp"):
        DockerLogDemuxer().feed(struct.pack(">BxxxL", 1, 6) + b"hello\n")
