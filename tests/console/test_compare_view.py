"""What the table of runs shows, and what an address of the page keeps."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from winslow_dagster.console.compare_query import CompareQuery
from winslow_dagster.console.compare_view import RunTable, letter, run_table, seen_kind, shown_attempts
from winslow_dagster.projects.comparison.compare import AttemptFacts, CrossRow, CrossTable
from winslow_dagster.projects.comparison.parameters import Value


def facts(number: int) -> AttemptFacts:
    return AttemptFacts(
        task_id=f"run{number}.detect.1",
        project="ulm",
        pipeline="traffic",
        pipeline_digest="d",
        stage="detect",
        number=number,
        run_id=f"run{number}",
        started_at=datetime(2026, 3, 1, tzinfo=UTC),
        duration_s=1.23456,
        outcome="succeeded",
        message="",
        node="here",
        mode=None,
        image_digest=None,
    )


def table(
    parameters: list[dict[str, Value]], results: list[dict[str, str]], sort: str = "", *, everything: bool = False
) -> RunTable:
    known = [facts(number) for number in range(1, len(parameters) + 1)]
    cross = CrossTable(
        parameters=tuple(sorted({name for each in parameters for name in each})),
        results=tuple(sorted({name for each in results for name in each})),
        rows=tuple(
            CrossRow(attempt=each, parameters=row, results=result)
            for each, row, result in zip(known, parameters, results, strict=True)
        ),
    )
    return run_table(cross, shown_attempts([(each.name, each) for each in known], {}), sort, everything=everything)


def test_results_are_shown_however_many_parameters_differ() -> None:
    shown = table([{f"env.V{n:02}": n + side for n in range(60)} for side in (0, 1)], [{"score": "1"}, {"score": "2"}])
    assert [column.name for column in shown.columns if column.kind == "result"] == ["score"]
    assert shown.notes == ("35 more parameters are not shown",)


def test_only_what_differs_is_a_column_unless_everything_is_wanted() -> None:
    rows: list[dict[str, Value]] = [{"env.A": "1"}, {"env.A": "2"}]
    assert [column.id for column in table(rows, [{"same": "1"}, {"same": "1"}]).columns] == ["parameter.env.A"]
    everything = table(rows, [{"same": "1"}, {"same": "1"}], everything=True)
    assert [column.name for column in everything.columns] == ["A", "same", "duration (s)"]


@pytest.mark.parametrize(("sort", "order"), [("result.score", [2, 1, 4, 3]), ("-result.score", [3, 4, 1, 2])])
def test_rows_are_sorted_by_numbers_then_texts_and_those_without_a_value_are_last_or_first(
    sort: str, order: list[int]
) -> None:
    results = [{"score": "10"}, {"score": "9"}, {}, {"score": "100"}]
    shown = table([{}, {}, {}, {}], results, sort)
    assert [row.attempt.facts.number for row in shown.rows] == order
    mixed = table([{}, {}], [{"score": "good"}, {"score": "7"}], "result.score")
    assert (mixed.columns[0].numeric, [row.attempt.facts.number for row in mixed.rows]) == (False, [2, 1])


def test_input_files_are_told_apart_by_the_beginning_of_their_hash() -> None:
    shown = table([{"inputs.cut/a.mp4": "a" * 64}, {"inputs.cut/a.mp4": "b" * 64}], [{}, {}])
    assert [row.cells["parameter.inputs.cut/a.mp4"][0] for row in shown.rows] == ["aaaaaaaaaa…", "bbbbbbbbbb…"]


def test_letters_go_on_after_the_last() -> None:
    assert [letter(place) for place in (0, 25, 26, 52)] == ["A", "Z", "A2", "A3"]


def test_an_address_has_what_differs_from_the_beginning_and_a_form_keeps_it() -> None:
    query = CompareQuery(attempts=("ulm:detect:1", "a&b:c:2"), show="tables", key=("id", "x"), all=True)
    assert query.address() == (
        "/compare?attempts=ulm%3Adetect%3A1&attempts=a%26b%3Ac%3A2&show=tables&all=1&key=id&key=x"
    )
    assert query.part("log") == "/compare?attempts=ulm%3Adetect%3A1&attempts=a%26b%3Ac%3A2&show=log&all=1"
    assert query.hidden("key", "all") == (("attempts", "ulm:detect:1"), ("attempts", "a&b:c:2"), ("show", "tables"))
    assert CompareQuery().address() == "/compare"


@pytest.mark.parametrize(
    ("path", "kind"),
    [("a/b.PNG", "picture"), ("b.tiff", "picture"), ("c.mkv", "video"), ("d.mp4", "video"), ("e", None)],
)
def test_pictures_and_videos_are_known_by_their_names(path: str, kind: str | None) -> None:
    assert seen_kind(path) == kind
