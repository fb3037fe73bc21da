"""What a project's page says and how files are previewed, without a server."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.console.previews import MOST_ROWS, kind_of, media_type_of, read_table, read_text
from winslow_dagster.console.project_view import chosen_stage, file_path, flat, sentence, share, stage_path, tree
from winslow_dagster.pipelines import SecretReference
from winslow_dagster.projects.commands.attempt_details import variables_by_origin
from winslow_dagster.projects.domain.views import ProjectStatus, StageView
from winslow_dagster.stages.task.model import SubjectProgress


def status(state: str, reason: str = "", **stages: str) -> ProjectStatus:
    values: dict[str, Any] = {
        "project": "ulm",
        "pipeline": "traffic",
        "pipeline_digest": "0" * 64,
        "pipeline_changes": (),
        "state": state,
        "reason": reason,
        "run_id": None,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "created_by": "anna",
        "env": {},
        "inputs": (),
        "stages": tuple(StageView(stage=name, state=each) for name, each in stages.items()),  # type: ignore[arg-type]
    }
    return ProjectStatus(**values)


@pytest.mark.parametrize(
    ("project", "text"),
    [
        (status("idle", "not run yet"), "Not run yet."),
        (status("idle", "not run yet").model_copy(update={"missing_inputs": ("video", "map")}),
         "It needs video and map before it can run."),
        (status("succeeded"), "Everything is up to date."),
        (status("succeeded", "detect is out of date"), "Detect is out of date."),
        (status("failed", "detect: exit code 1", detect="failed"), "detect: exit code 1."),
        (status("awaiting_input", "before detect: Which side?", detect="pending"), "Before detect: Which side?"),
        (status("running"), "The next stage is about to start."),
        (status("running", a="succeeded", b="running", c="running"), "b and c · 1 of 3 stages finished"),
        (status("running", "the store does not answer"), "The store does not answer."),
    ],
)  # fmt: skip
def test_the_sentence_says_what_the_project_does_or_waits_for(project: ProjectStatus, text: str) -> None:
    assert sentence(project) == text


@pytest.mark.parametrize(
    ("stages", "chosen"),
    [
        ({"a": "succeeded", "b": "failed", "c": "pending"}, "b"),
        ({"a": "succeeded", "b": "running", "c": "failed"}, "c"),
        ({"a": "succeeded", "b": "running"}, "b"),
        ({"a": "pending", "b": "pending"}, "a"),
        ({}, ""),
    ],
)
def test_the_stage_that_needs_somebody_is_chosen(stages: dict[str, str], chosen: str) -> None:
    assert chosen_stage(status("running", **stages)) == chosen


def test_addresses_quote_everything() -> None:
    assert stage_path("a", "b", "files", file="x/&?.txt", pipeline=None, attempt="") == (
        "/projects/a/stages/b/files?file=x%2F%26%3F.txt"
    )
    assert file_path("a", "b", 'd/<i>"#?%.txt', attempt=2) == (
        "/api/v1/projects/a/files/b/d/%3Ci%3E%22%23%3F%25.txt?attempt=2"
    )


def test_changed_settings_are_lines_and_secrets_stay_names() -> None:
    changed = {"env": {"A": "1", "B": {"secret": "TOKEN"}}, "args": ["x", "y"], "image": None}
    assert flat(changed) == [("env.A", "1"), ("env.B", "(secret TOKEN)"), ("args", "x y")]


def test_a_share_is_known_only_with_a_total() -> None:
    assert share(SubjectProgress(subject="frames", current=5, total=20)) == 0.25
    assert share(SubjectProgress(subject="export", current=40, unit="%")) == 0.4
    assert share(SubjectProgress(subject="frames", current=5)) is None
    assert share(SubjectProgress(subject="frames", current=30, total=20)) == 1


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=4)


@given(st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), unique=True, max_size=12))
def test_a_tree_has_every_file_once_at_its_place(paths: list[str]) -> None:
    found: dict[int, str] = {}

    def walk(folder: Any, prefix: str) -> None:
        for each in folder.folders:
            walk(each, f"{prefix}{each.name}/")
        for index in folder.files:
            found[index] = prefix + paths[index].rpartition("/")[2]

    walk(tree(paths), "")
    assert [found[index] for index in range(len(paths))] == paths


@given(st.binary(max_size=2000))
def test_no_content_of_a_table_is_an_error(content: bytes) -> None:
    table = read_table(io.BytesIO(content))
    assert len(table.rows) <= MOST_ROWS


def test_a_large_table_is_cut_in_rows_columns_and_cells() -> None:
    text = "\n".join(";".join(["x" * 300, *["y"] * 59]) for _ in range(300))
    table = read_table(io.BytesIO(text.encode()))
    assert (len(table.rows), len(table.header), len(table.rows[0][0]), table.cut) == (MOST_ROWS, 50, 200, True)
    small = read_table(io.BytesIO("﻿a,b\n1,2\n".encode()))
    assert (small.header, small.rows, small.cut) == (("a", "b"), (("1", "2"),), False)
    assert read_table(io.BytesIO()).header == ()


def test_a_text_that_is_none_is_shown_with_marks() -> None:
    assert read_text(io.BytesIO(b"a\xff\x00b")).text == "a�\x00b"
    assert read_text(io.BytesIO(b"x" * 70_000)).cut


@pytest.mark.parametrize(
    ("name", "kind", "media_type"),
    [
        ("a.PNG", "picture", "image/png"),
        ("a.svg", "picture", "image/svg+xml"),
        ("a.mp4", "video", "video/mp4"),
        ("a.html", "report", "text/html; charset=utf-8"),
        ("a.csv", "table", "text/plain; charset=utf-8"),
        ("a.json", "text", "text/plain; charset=utf-8"),
        ("a.xhtml", "other", "application/octet-stream"),
        ("a.js", "other", "application/octet-stream"),
        ("png", "other", "application/octet-stream"),
    ],
)
def test_the_kind_of_a_file_is_that_of_its_name(name: str, kind: str, media_type: str) -> None:
    assert (kind_of(name), media_type_of(name)) == (kind, media_type)


def test_a_variable_has_the_origin_that_wins_and_those_that_it_overrides() -> None:
    layers = (
        {"LEVEL": "0", "CITY": "bonn"},
        {"LEVEL": "1", "PLACE": "ulm"},
        {"LEVEL": "2"},
        {"TOKEN": "plain"},
        {},
        {"TOKEN": SecretReference(secret="TOKEN")},
        {"LEVEL": "${PLACE}-3"},
    )
    found = variables_by_origin(layers, {"LEVEL": "ulm-3", "CITY": "bonn", "PLACE": "ulm"})
    city, level, place, token = found
    assert (level.value, level.template, level.origin) == ("ulm-3", "${PLACE}-3", "settings")
    assert level.overrides == (("installation", "0"), ("pipeline", "1"), ("stage", "2"))
    assert (city.origin, city.overrides) == ("installation", ())
    assert (place.origin, place.overrides) == ("pipeline", ())
    assert (token.secret, token.value, token.template, token.origin) == (True, "", "(secret TOKEN)", "run")


def test_a_table_ends_before_a_cell_that_is_too_long_to_read() -> None:
    table = read_table(io.BytesIO(b'a,b\n1,2\n3,"' + b"x" * 500_000 + b'"\n5,6\n'))
    assert (table.header, table.rows, table.cut) == (("a", "b"), (("1", "2"),), True)


@pytest.mark.parametrize(("remaining_s", "end"), [(75.0, "about 1 m 15 s left in this stage"), (0.0, "finishing")])
def test_a_stage_that_has_counted_everything_is_finishing(remaining_s: float, end: str) -> None:
    progress = SubjectProgress(subject="frames", current=12, total=10, remaining_s=remaining_s)
    running = StageView(stage="detect", state="running", progress=(progress,))
    said = sentence(status("running").model_copy(update={"stages": (running,)}))
    assert said == f"detect · 0 of 1 stage finished · {end}"
