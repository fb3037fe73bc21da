from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winslow_dagster.errors import PipelineInvalid
from winslow_dagster.pipelines.model.stage_rules import LogRules, ProgressRule
from winslow_dagster.pipelines.patterns import compile_pattern
from winslow_dagster.stages.log import RuleMatcher
from winslow_dagster.stages.log.patterns import LinePattern, can_scan
from winslow_dagster.stages.log.rules import FINDINGS_KEPT, RESULTS_LIMIT
from winslow_dagster.stages.task.model import LogSummary

NOW = 1_800_000_000_000_000_000


def read(rules: LogRules, text: str) -> LogSummary:
    matcher = RuleMatcher(rules)
    matcher.feed(text.encode(), 1, NOW)
    return matcher.summary(text.count("\n"), len(text), NOW)


def test_warnings_and_errors_are_counted_with_their_lines() -> None:
    rules = LogRules(warnings=("WARN",), errors=("ERROR", "Exception"))
    summary = read(rules, "start\nWARN: dark\nok\nERROR: x\nERROR: Exception\nWARN ERROR\n")
    assert (summary.warning_count, summary.error_count) == (2, 3)
    assert [(finding.line, finding.text) for finding in summary.warnings] == [(2, "WARN: dark"), (6, "WARN ERROR")]
    assert [finding.line for finding in summary.errors] == [4, 5, 6]


def test_of_many_findings_the_first_and_the_last_are_kept() -> None:
    summary = read(LogRules(errors=("bad",)), "bad\n" * 1_000)
    assert summary.error_count == 1_000
    kept = [finding.line for finding in summary.errors]
    assert kept == [*range(1, FINDINGS_KEPT + 1), *range(1_001 - FINDINGS_KEPT, 1_001)]


def test_result_lines_become_results() -> None:
    summary = read(
        LogRules(),
        "WINSLOW_RESULT: tracks=12\nWINSLOW_RESULT:  mean speed = 13.9 m/s = 50 km/h \n"
        "say WINSLOW_RESULT: no=1\nWINSLOW_RESULT: nothing\nWINSLOW_RESULT: =7\nWINSLOW_RESULT: tracks=13\n"
        "WINSLOW_RESULT:lanes=\n",
    )
    assert summary.results == {"tracks": "13", "mean speed": "13.9 m/s = 50 km/h", "lanes": ""}


def test_results_cannot_fill_memory() -> None:
    summary = read(LogRules(), "".join(f"WINSLOW_RESULT: key{n}={'x' * 6_000}\n" for n in range(RESULTS_LIMIT + 5)))
    assert len(summary.results) == RESULTS_LIMIT
    assert max(map(len, summary.results.values())) < 5_000
    assert summary.notes == (f"5 results beyond the first {RESULTS_LIMIT} were not kept",)


def test_a_stage_can_ask_for_a_human() -> None:
    assert read(LogRules(), "WINSLOW_AWAIT_INPUT: click four points\n").awaiting_input_message == "click four points"
    assert read(LogRules(), "echo WINSLOW_AWAIT_INPUT: no\n").awaiting_input_message is None


def test_what_no_database_takes_is_replaced() -> None:
    summary = read(LogRules(errors=("bad",)), "bad\x00\nWINSLOW_RESULT: a=b\x00c\n")
    assert summary.errors[0].text == "bad\ufffd"
    assert summary.results == {"a": "b\ufffdc"}


def test_bytes_that_are_not_utf8_hide_nothing() -> None:
    matcher = RuleMatcher(LogRules(errors=("Fehler: Überlauf", r"Größe \pL+ x")))
    matcher.feed(b"\xff\xfe\nFehler: \xc3\x9cberlauf\n\xff Gr\xc3\xb6\xc3\x9fe \xc3\xbc x\n", 1, NOW)
    assert [finding.line for finding in matcher.summary(3, 0, NOW).errors] == [2, 3]


def test_several_subjects_are_followed_at_once() -> None:
    rules = LogRules(
        progress=(
            ProgressRule(subject="frames", pattern=r"frame (?P<current>[\d,]+) of (?P<total>[\d,]+) (?P<unit>\w+)"),
            ProgressRule(subject="upload", pattern=r"(?P<percent>\d+)%"),
            ProgressRule(subject="tracks", pattern=r"tracks: (?P<current>\d+)"),
        )
    )
    summary = read(rules, "frame 1 of 12,500 images\n7%\nframe 1,200 of 12,500 images\ntracks: 3\nother\n")
    assert [(p.subject, p.current, p.total, p.unit) for p in summary.progress] == [
        ("frames", 1_200.0, 12_500.0, "images"),
        ("upload", 7.0, 100.0, "%"),
        ("tracks", 3.0, None, ""),
    ]


def test_two_rules_for_one_subject_give_the_later_line() -> None:
    rules = LogRules(
        progress=(
            ProgressRule(subject="frames", pattern=r"pass A: (?P<current>\d+)"),
            ProgressRule(subject="frames", pattern=r"pass B: (?P<current>\d+)"),
        )
    )
    assert read(rules, "pass A: 1\npass B: 2\npass A: 3\n").progress[0].current == 3
    assert read(rules, "pass A: 1\npass B: 2\n").progress[0].current == 2


def test_a_bad_pattern_is_named() -> None:
    with pytest.raises(
        PipelineInvalid, match=r"the log pattern '\(' is not a regular expression in RE2 syntax: missing \)"
    ):
        RuleMatcher(LogRules(errors=("(",)))


PATTERNS = [
    "warn",
    r"(?i)\bwarn(?:ing)?\b",
    r"^at \w+",
    r"error:\s+\d+",
    r"\d+$",
    r"^$",
    r"[^a]b",
    r"\W\d",
    r"a.*b",
    r"(?s)a.b",
    r"ü\b",
    r"\bÜ",
    r"\Aat",
    r"b\z",
    r"\Qat\E",
    r"(?-m)^at",
    r"(?m)^at$",
    r"(?i-m:^at|7)",
    r"(?U)a.*b",
    r"[[:alpha:]]7",
    r"\pL\PL",
    r"a{0,2}b",
    r"x*",
    r"\x1c",
    r"a\sb",
    r"[\w.]+ \d",
    r"[^\w]7",
    r"[^\W]7",
    r"[]\s]b",
    r"[^]\d]b",
    r"error\b.*\B",
    "(?i)straße|\u017f",
    r"a[^x]*b",
    r"(?s)a.*7",
    r"warn\s*error",
    r"b\Ca",
]
LINE = st.lists(
    st.sampled_from(
        [
            *(
                "warn",
                "WARNING",
                "error",
                "error:",
                "error: 12",
                "no ",
                " 0",
                "at ",
                "a",
                "b",
                "aa",
                "7",
                " ",
                "S",
                "\t",
            ),
            *("ü", "Ü", "straße", "STRASSE", "\x00", "\x0b", "\x1c", "\u00a0", "\u0663"),
        ]
    ),
    max_size=5,
).map("".join)


@settings(max_examples=300)
@given(
    st.builds(lambda lines, times: lines * times, st.lists(LINE, max_size=12), st.integers(1, 8)),
    st.lists(st.sampled_from(PATTERNS), max_size=4),
    st.lists(st.integers(0, 11), max_size=3),
)
def test_findings_are_those_of_each_line_searched_alone(lines: list[str], patterns: list[str], cuts: list[int]) -> None:
    searched = [compile_pattern(pattern) for pattern in patterns]
    expected = [n for n, line in enumerate(lines, 1) if any(pattern.search(line) for pattern in searched)]
    matcher = RuleMatcher(LogRules(errors=tuple(patterns)))
    edges = [0, *sorted(min(cut, len(lines)) for cut in cuts), len(lines)]
    for start, end in itertools.pairwise(edges):
        matcher.feed("".join(line + "\n" for line in lines[start:end]).encode(), start + 1, NOW)
    assert [finding.line for finding in matcher.summary(len(lines), 0, NOW).errors] == expected


@given(
    st.lists(LINE, min_size=1, max_size=12),
    st.sampled_from([r"(?P<current>\d)", r"\Aerror: (?P<current>\d+)", r"a(?<current>\d)"]),
)
def test_progress_is_that_of_the_last_line_that_matches(lines: list[str], pattern: str) -> None:
    found = [match["current"] for line in lines if (match := compile_pattern(pattern).search(line))]
    summary = read(LogRules(progress=(ProgressRule(subject="x", pattern=pattern),)), "".join(f"{x}\n" for x in lines))
    assert [progress.current for progress in summary.progress] == [float(x) for x in found[-1:]]


def test_patterns_that_mean_something_else_in_many_lines_are_tried_line_by_line() -> None:
    assert [pattern for pattern in PATTERNS if not can_scan(pattern)] == [
        r"\Aat",
        r"b\z",
        r"\Qat\E",
        r"(?-m)^at",
        r"(?i-m:^at|7)",
        r"b\Ca",
    ]


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|aa)+\z", r"(x+x+)+y", r"\A(.*)*(a*)*c"])
def test_no_pattern_hangs_the_reader(pattern: str) -> None:
    matcher = RuleMatcher(LogRules(errors=(pattern,), warnings=("warn",)))
    matcher.feed((b"a" * 5_000 + b"b\n" + b"x" * 5_000 + b"\n") * 100 + b"warn\n", 1, NOW)
    summary = matcher.summary(201, 0, NOW)
    assert (summary.warning_count, summary.error_count) == (1, 0)


@pytest.mark.parametrize(
    ("text", "errors", "found"),
    [
        (f"WINSLOW_RESULT: {' ' * 8_100}x\n" * 6_000, (), 0),
        (f"WINSLOW_RESULT: {'x ' * 4_000}= 1\n" * 6_000, (), 0),
        ("WINSLOW_AWAIT_INPUT:" + " " * 8_100 + "\n" * 6_000, (), 0),
        (f"foo {'x' * 500}\nERROR x\n" * 60_000, ("foo[^;]*;", "ERROR"), 60_000),
        (f"foo {'x' * 500}\n\nERROR x\n" * 60_000, (r"(?s)foo.*bar|ERROR\s+y",), 0),
    ],
    ids=["result", "key", "question", "other lines", "blank lines"],
)
def test_no_text_of_a_stage_costs_more_than_linear_time(text: str, errors: tuple[str, ...], found: int) -> None:
    """Seconds; a search that is quadratic in these texts runs into the time limit of the tests."""
    assert read(LogRules(errors=errors), text).error_count == found


@pytest.mark.parametrize("pattern", [r"error(?! 0)", r"(?<!no )error", r"(a)\1"])
def test_what_linear_time_cannot_do_is_refused(pattern: str) -> None:
    with pytest.raises(PipelineInvalid, match="not a regular expression in RE2 syntax"):
        LinePattern(pattern)


def test_colours_hide_nothing_from_the_rules() -> None:
    rules = LogRules(errors=(r"^ERROR\b",), progress=(ProgressRule(subject="frames", pattern=r"^(?P<percent>\d+)%"),))
    summary = read(rules, "\x1b[1;31mERROR\x1b[0m: no disk\n\x1b[32m40\x1b[m%\n")
    assert [finding.text for finding in summary.errors] == ["ERROR: no disk"]
    assert [progress.current for progress in summary.progress] == [40]
