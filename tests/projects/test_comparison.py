"""Two attempts against each other: what is pure in it, for any attempts there may be."""

from __future__ import annotations

import csv
import io
import shlex
import statistics
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.pipelines.model.stage_rules import Gpu, LogRules
from winslow_dagster.projects.comparison.compare import AttemptFacts, FileRef, Side, compare, compare_many
from winslow_dagster.projects.comparison.csv_summary import TableFacts, table_facts
from winslow_dagster.projects.comparison.parameters import parameters, word_difference
from winslow_dagster.stages.task.model import LogSummary, StageResult, StageTask, SubjectProgress
from winslow_dagster.storage.manifest import FileEntry, Manifest

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="$\0"), max_size=6)
NAMES = st.sampled_from(["THRESHOLD", "SCALE", "MODEL"])
CONTENTS = st.sampled_from(["a", "b", "c"])
LARGEST_FLOAT = sys.float_info.max
SMALLEST_FLOAT = 5e-324
PATHS = st.sampled_from(["tracks.csv", "frames/1.png", "notes.txt", "more.csv"])


def read_nothing(file: FileRef) -> TableFacts:
    return TableFacts(size_bytes=file.size_bytes, columns=(file.blake3,))


def facts_of(text: bytes, most_bytes: int = 1 << 20) -> TableFacts:
    return table_facts(lambda start, length: text[start : start + length], len(text), most_bytes)


@st.composite
def manifests(draw: Callable[[st.SearchStrategy[object]], object]) -> Manifest:
    contents = draw(st.dictionaries(PATHS, CONTENTS))
    assert isinstance(contents, dict)
    files = tuple(FileEntry(path=path, size_bytes=ord(each), blake3=each) for path, each in contents.items())
    return Manifest(address="somewhere", files=files)


LOGS = st.builds(
    LogSummary,
    warning_count=st.integers(0, 3),
    results=st.dictionaries(NAMES, st.one_of(WORDS, st.integers().map(str), st.floats().map(str))),
    progress=st.lists(
        st.builds(SubjectProgress, subject=st.just("frames"), current=st.integers(0, 9), unit=st.just("f")), max_size=1
    ).map(tuple),
)
TASKS = st.builds(
    StageTask,
    task_id=st.just("run.detect.1"),
    project=st.just("ulm-07"),
    pipeline=st.just("traffic"),
    stage=st.just("detect"),
    run_id=st.just("run"),
    image=st.sampled_from([None, "detector:1", "detector:2"]),
    command=st.lists(WORDS, max_size=2).map(tuple),
    args=st.lists(st.one_of(WORDS, st.just("${THRESHOLD}"), st.just("$${x}")), max_size=5).map(tuple),
    env_layers=st.lists(st.dictionaries(NAMES, WORDS), max_size=3).map(tuple),
    inputs=st.dictionaries(st.sampled_from(["cut", "stabilise"]), manifests(), max_size=2),
    resources=st.dictionaries(st.just("video"), manifests()),
    output_address=st.just("o"),
    log_address=st.just("l"),
    store_url=st.just("file:///store"),
    cpus=st.sampled_from([1.0, 2.0]),
    memory_bytes=st.sampled_from([None, 1 << 30]),
    gpu=st.one_of(st.none(), st.builds(Gpu, count=st.integers(1, 2), optional=st.booleans())),
    success_exit_codes=st.just((0,)),
    outputs=st.just(()),
    log_rules=st.just(LogRules()),
    mode=st.just("auto"),
)


@st.composite
def sides(draw: Callable[[st.SearchStrategy[object]], object], number: int = 1) -> Side:
    task = draw(TASKS)
    assert isinstance(task, StageTask)
    minutes = draw(st.integers(0, 3))
    assert isinstance(minutes, int)
    ended = {
        "task_id": task.task_id,
        "outcome": "succeeded",
        "message": "",
        "started_at": BEGIN,
        "ended_at": BEGIN + timedelta(minutes=minutes),
        "node": "here",
        "outputs": draw(st.one_of(st.none(), manifests())),
        "log": draw(LOGS),
    }
    result = StageResult.model_validate(ended) if draw(st.booleans()) else None
    facts = AttemptFacts(
        task_id=task.task_id,
        project=task.project,
        pipeline=task.pipeline,
        pipeline_digest="d" * 64,
        stage=task.stage,
        number=number,
        run_id=task.run_id,
        started_at=BEGIN,
        duration_s=result.duration_s if result else None,
        outcome=result.outcome if result else None,
        message="",
        node="here",
        mode=None,
        image_digest=None,
    )
    return Side(facts=facts, task=task, result=result)


@given(sides())
def test_an_attempt_differs_in_nothing_from_itself(side: Side) -> None:
    same = compare(side, side, read_nothing)
    assert not same.differs
    assert (same.parameters, same.tables, same.pictures) == ((), (), ())
    assert all(pair.left == pair.right for pair in (*same.results, *same.progress, *same.measures))


@given(sides(), sides(2))
def test_turned_round_a_comparison_says_the_same(left: Side, right: Side) -> None:
    one, other = compare(left, right, read_nothing), compare(right, left, read_nothing)
    assert one.differs == other.differs
    assert [(row.path, row.left, row.right) for row in one.parameters] == [
        (row.path, row.right, row.left) for row in other.parameters
    ]
    for pairs, turned in ((one.results, other.results), (one.progress, other.progress), (one.measures, other.measures)):
        assert [(each.name, each.left, each.right) for each in pairs] == [
            (each.name, each.right, each.left) for each in turned
        ]
        assert [each.difference for each in pairs] == [
            None if each.difference is None else -each.difference for each in turned
        ]
    assert [pair.path for pair in one.files.added] == [pair.path for pair in other.files.removed]
    assert [pair.path for pair in one.files.changed] == [pair.path for pair in other.files.changed]
    assert one.files.unchanged_count == other.files.unchanged_count
    assert [table.columns_added for table in one.tables] == [table.columns_removed for table in other.tables]


@given(sides(), sides(2))
def test_a_comparison_can_be_written_as_json_and_read_back(left: Side, right: Side) -> None:
    one = compare(left, right, read_nothing)
    assert type(one).model_validate_json(one.model_dump_json()) == one


@given(sides(), sides(2))
def test_the_cross_table_of_two_names_what_their_comparison_names(left: Side, right: Side) -> None:
    rows = compare(left, right, read_nothing).parameters
    table = compare_many([left, right])
    assert list(table.parameters) == [row.path for row in rows]
    assert [row.parameters.get(path) for row in table.rows[:1] for path in table.parameters] == [
        row.left for row in rows
    ]


@given(st.lists(WORDS, max_size=6), st.lists(WORDS, max_size=6))
def test_a_word_difference_holds_both_command_lines_and_turns_round(left: list[str], right: list[str]) -> None:
    one, other = shlex.join(left), shlex.join(right)
    parts = word_difference(one, other)
    for side, words in (("left", left), ("right", right)):
        assert [word for part in parts if part.side in {"both", side} for word in shlex.split(part.text)] == words
    turned = {"left": "right", "right": "left", "both": "both"}
    back = word_difference(other, one)
    assert sorted((turned[part.side], part.text) for part in back) == sorted((part.side, part.text) for part in parts)


def task(**changed: object) -> StageTask:
    return StageTask.model_validate(
        {
            "task_id": "run.detect.1",
            "project": "ulm-07",
            "pipeline": "traffic",
            "stage": "detect",
            "run_id": "run",
            "output_address": "o",
            "log_address": "l",
            "store_url": "file:///store",
            "log_rules": {},
            **changed,
        }
    )


def test_a_variable_is_compared_as_the_stage_saw_it() -> None:
    layered = task(
        env_layers=[{"SCALE": "2", "THRESHOLD": "0.${SCALE}"}, {"THRESHOLD": "${THRESHOLD}5"}],
        args=["--threshold", "${THRESHOLD}", "--out", "${WINSLOW_OUTPUT_DIR}/tracks.csv"],
    )
    plain = task(
        env_layers=[{"SCALE": "2", "THRESHOLD": "0.25"}],
        args=["--threshold", "0.25", "--out", "${WINSLOW_OUTPUT_DIR}/tracks.csv"],
        task_id="other.detect.1",
        output_address="elsewhere",
    )
    assert parameters(layered) == parameters(plain)
    assert parameters(layered)[0]["env.THRESHOLD"] == "0.25"


def test_templates_without_a_value_are_shown_as_written_and_said_so() -> None:
    found, note = parameters(task(env_layers=[{"A": "${MISSING}"}], args=["${A}"]))
    assert (found["env.A"], found["args"]) == ("${MISSING}", "'${A}'")
    assert "MISSING" in note


def test_a_setting_inside_another_has_a_path_of_its_own() -> None:
    found, _ = parameters(task(gpu={"count": 2}, memory_bytes=1024))
    assert (found["gpu.count"], found["memory_bytes"]) == (2, 1024)


CELLS = st.one_of(st.text(max_size=8), st.integers().map(str), st.floats(-1e9, 1e9).map(str))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.sampled_from([",", ";", "\t"]))
def test_a_column_of_numbers_is_counted_and_bounded(numbers: list[float], delimiter: str) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["name, quoted", 'x"y', "z"])
    for number in numbers:
        writer.writerow([f"line\nbreak{delimiter}", number, ""])
    facts = facts_of(text.getvalue().encode())
    assert (facts.rows, facts.columns, facts.fault) == (len(numbers), ("name, quoted", 'x"y', "z"), "")
    column = facts.numeric['x"y']
    assert (column.count, column.min, column.max) == (len(numbers), min(numbers), max(numbers))
    exact = [Fraction(number) for number in numbers]
    for found, expected in ((column.mean, statistics.mean(exact)), (column.median, statistics.median(exact))):
        assert column.min <= found <= column.max
        assert found == pytest.approx(float(expected))
    assert list(facts.numeric) == ['x"y']


@pytest.mark.parametrize(
    ("numbers", "mean", "median"),
    [
        ([LARGEST_FLOAT] * 3, LARGEST_FLOAT, LARGEST_FLOAT),
        ([1e308, 1.5e308], 1.25e308, 1.25e308),
        ([-LARGEST_FLOAT, LARGEST_FLOAT, LARGEST_FLOAT, -LARGEST_FLOAT], 0.0, 0.0),
        ([SMALLEST_FLOAT] * 3, SMALLEST_FLOAT, SMALLEST_FLOAT),
    ],
)
def test_numbers_at_the_ends_of_what_a_float_holds_have_a_mean_and_a_median(
    numbers: list[float], mean: float, median: float
) -> None:
    facts = facts_of("\n".join(["x", *map(repr, numbers)]).encode())
    assert (facts.numeric["x"].mean, facts.numeric["x"].median) == (mean, median)


@given(st.binary(max_size=300), st.integers(1, 300))
def test_any_bytes_have_facts_or_a_fault(content: bytes, most_bytes: int) -> None:
    facts = facts_of(content, most_bytes)
    assert facts.cut == (most_bytes < len(content))
    assert not (facts.fault and facts.rows)


@given(st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=8))
def test_rows_of_unequal_length_are_counted(rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["a", "b"], *rows])
    facts = facts_of(text.getvalue().replace("\0", "").encode("utf-8", "replace"))
    assert facts.columns == ("a", "b")
    assert facts.rows == len(rows)


@pytest.mark.parametrize(
    ("content", "rows", "columns", "fault"),
    [
        (b"", 0, (), ""),
        (b"\n", 0, (), ""),
        (b"a,b\n", 0, ("a", "b"), ""),
        (b"1,car\n2,bus\n", 2, ("column 1", "column 2"), ""),
        (b"car,bus\ncab,van\n", 1, ("car", "bus"), ""),
        (b"inf,nan\n1,2\n", 1, ("inf", "nan"), ""),
        (b"a,a,\n1,2,3\n", 1, ("a", "a (2)", "column 3"), ""),
        (b"\xef\xbb\xbfa;b\r\n1;2\r\n", 1, ("a", "b"), ""),
        (b"\x89PNG\0\0", 0, (), "cannot be read as a table: not a text file"),
        (
            b'a\n"' + b"x" * 200_000 + b'"\n',
            0,
            (),
            "cannot be read as a table: field larger than field limit (131072)",
        ),
    ],
)
def test_odd_files_are_told_apart(content: bytes, rows: int, columns: tuple[str, ...], fault: str) -> None:
    facts = facts_of(content)
    assert (facts.rows, facts.columns, facts.fault) == (rows, columns, fault)


def test_a_table_that_is_cut_says_so_and_counts_no_half_row() -> None:
    facts = facts_of(b"a,b\n1,2\n3,4\n5,6789\n", most_bytes=14)
    assert (facts.cut, facts.read_bytes, facts.rows) == (True, 14, 2)
    assert facts.numeric["b"].max == 4


def test_a_word_makes_a_column_no_numbers() -> None:
    assert list(facts_of(b"a,b,c\n1,x,1_0\n2,2,2\n").numeric) == ["a"]
