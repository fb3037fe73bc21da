"""What a person enters in the redo drawer, as the front door takes it and as a command."""

from __future__ import annotations

import io
from typing import Any

import pytest
from starlette.datastructures import FormData

from winslow_dagster.console.editing import editable_text
from winslow_dagster.console.pages.redo import new_values
from winslow_dagster.console.redo_form import EnteredRedo, command_of, entered
from winslow_dagster.console.sorting import sorted_by
from winslow_dagster.projects.commands.run_plan import faults_of_settings
from winslow_dagster.projects.domain.run_plan import (
    CandidateOutputs,
    InputParameter,
    Parameter,
    SettableStage,
    Setting,
    StageParameters,
)

KNOWN = StageParameters(
    project="ulm",
    pipeline="traffic",
    stage="detect",
    attempt=3,
    variables=(
        Parameter(name="THRESHOLD", default="0.4", last="0.3", last_origin="settings"),
        Parameter(name="DETECTOR", default="fused", last="motion", last_origin="answer"),
        Parameter(name="KEY", default="(secret KEY)", secret=True),
    ),
    settings=(
        Setting(name="args", default="run --fast", last="run --fast"),
        Setting(name="memory", default="2GiB", last="4GiB", set_by_run=True),
        Setting(name="gpu", default="1", last="1"),
    ),
    inputs=(InputParameter(name="video", current="film.mp4"),),
    candidates=(CandidateOutputs(stage="look", number=1, task_id="a.look.1", current=False),),
    following=(
        SettableStage(
            stage="count",
            attempt=2,
            variables=(
                Parameter(name="LIMIT", default="5", last="7", last_origin="settings"),
                Parameter(
                    name="KEY", default="(secret KEY)", secret=True, last_origin="settings", last_secret="KEY-1234"
                ),
            ),
            settings=(Setting(name="cpus", default="1", last="1"),),
        ),
        SettableStage(
            stage="report",
            attempt=None,
            variables=(Parameter(name="TITLE", default="Counts"),),
            settings=(Setting(name="gpu", default="0"),),
        ),
    ),
    later={"count": ("count",), "report": ("count", "report")},
)


def form(**changed: str) -> EnteredRedo:
    """The drawer as it opens, with some fields changed; `env__X` stands for `env.X`, `of__X` for a field of count."""
    fields = {name.replace("of__", "count/").replace("__", "."): text for name, text in changed.items()}
    return entered(FormData(new_values(KNOWN) | fields), KNOWN, None)


def test_the_drawer_opens_with_what_the_last_run_had_set() -> None:
    assert new_values(KNOWN) == {
        "env.THRESHOLD": "0.3",
        "env.DETECTOR": "fused",
        "set.args": "run --fast",
        "set.memory": "4GiB",
        "set.gpu": "1",
        "count/env.LIMIT": "7",
        "count/set.cpus": "1",
        "report/env.TITLE": "Counts",
        "report/set.gpu": "0",
    }


def test_only_what_differs_from_the_defaults_is_asked_for() -> None:
    assert form().settings == {
        "detect": {"env": {"THRESHOLD": "0.3"}, "memory": "4GiB"},
        "count": {"env": {"LIMIT": "7"}},
    }
    back = form(env__THRESHOLD="0.4", set__memory="", of__env__LIMIT="5")
    assert (back.settings, back.faults) == ({}, ())
    assert form(env__DETECTOR="").settings["detect"]["env"] == {"THRESHOLD": "0.3", "DETECTOR": ""}
    assert form(set__args="run --slow 'two words'").settings["detect"]["args"] == ["run", "--slow", "two words"]
    assert form(more_env="NEW=1\n\nOTHER = a=b").settings["detect"]["env"] == {
        "THRESHOLD": "0.3",
        "NEW": "1",
        "OTHER": "a=b",
    }


@pytest.mark.parametrize(
    ("until", "only", "stop_after", "keeps"),
    [
        ("", False, None, True),
        ("detect", True, None, False),
        ("count", False, "count", True),
        ("report", False, "report", True),
    ],
)
def test_settings_of_later_stages_go_with_those_that_run(
    until: str, stop_after: str | None, *, only: bool, keeps: bool
) -> None:
    found = form(until=until)
    assert (found.only, found.stop_after, "count" in found.settings) == (only, stop_after, keeps)


def test_every_parameter_of_every_stage_that_runs_can_be_set() -> None:
    changed = {"of__env__LIMIT": "9", "of__set__cpus": "2", "report/env.TITLE": "Cars", "report/set.gpu": "1"}
    assert form(**changed).settings == {
        "detect": {"env": {"THRESHOLD": "0.3"}, "memory": "4GiB"},
        "count": {"env": {"LIMIT": "9"}, "cpus": 2.0},
        "report": {"env": {"TITLE": "Cars"}, "gpu": 1},
    }
    assert "report" not in form(until="count", **changed).settings
    assert [each.field for each in form(of__set__cpus="many").faults] == ["count/set.cpus"]
    # A list is one value where nothing is swept.
    swept = form(sweep="yes", until="count", env__THRESHOLD="1, 2", of__env__LIMIT="1, 2")
    assert (swept.values, swept.settings["count"]) == ({"THRESHOLD": ("1", "2")}, {"env": {"LIMIT": "1, 2"}})


def test_a_secret_that_the_last_run_set_is_set_again_where_its_box_is_ticked() -> None:
    assert form(of__env__KEY="yes").settings["count"]["env"] == {"LIMIT": "7", "KEY": {"secret": "KEY-1234"}}
    assert form(of__env__KEY="my own").settings["count"]["env"] == {"LIMIT": "7"}


def test_lists_and_ranges_make_a_sweep() -> None:
    found = form(sweep="yes", env__THRESHOLD="0.1..0.3 step 0.1", env__DETECTOR="network", max_concurrent="2")
    assert found.values == {"THRESHOLD": ("0.1", "0.2", "0.3")}
    assert found.settings == {"detect": {"env": {"DETECTOR": "network"}, "memory": "4GiB"}}
    assert (found.max_concurrent, found.faults) == (2, ())
    # The same text is one value for a redo.
    assert form(env__THRESHOLD="1, 2").settings["detect"]["env"] == {"THRESHOLD": "1, 2"}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"set__gpu": "many"}, "set.gpu"),
        ({"set__args": "'no end"}, "set.args"),
        ({"more_env": "no pair"}, "more_env"),
        ({"sweep": "yes"}, "sweep"),
        ({"sweep": "yes", "env__THRESHOLD": "1..9 step 0"}, "env.THRESHOLD"),
        ({"sweep": "yes", "env__THRESHOLD": "1, 2", "max_concurrent": "few"}, "max_concurrent"),
        ({"sweep": "yes", "env__THRESHOLD": "1, 2", "input__video": "pool:x"}, "input.video"),
    ],
)
def test_what_cannot_be_read_is_a_fault_of_its_field(changed: dict[str, str], field: str) -> None:
    assert field in {each.field for each in form(**changed).faults}


def test_every_faulty_setting_has_a_fault_of_its_own() -> None:
    override: dict[str, Any] = {"memory": "8 elephants", "gpu": -1, "cpus": 2, "env": {"A": "1", "B": 2}}
    assert [each.field for each in faults_of_settings("detect", override)] == ["set.memory", "set.gpu", "env.B"]


def test_the_command_does_the_same_as_the_form() -> None:
    found = form(
        env__THRESHOLD="it's", until="detect", reuse="yes", reason="less noise", input__video="pool:film", use__look="1"
    )
    assert command_of("ulm", found) == (
        """winslow redo ulm detect --env 'THRESHOLD=it'"'"'s' --set detect.memory=4GiB --input video=pool:film """
        "--use look=1 --only --reuse --reason 'less noise'"
    )
    swept = form(sweep="yes", env__THRESHOLD='1, "a, b"', env__DETECTOR="motion", max_concurrent="3", set__memory="")
    assert command_of("ulm", swept) == (
        """winslow sweep ulm detect --env 'THRESHOLD=1, "a, b"' --set detect.env.DETECTOR=motion --max-concurrent 3"""
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"a\nb\n", "a\nb\n"), (b"a\r\nb\r\n", "a\nb\n"), ("ä".encode(), "ä"), (b"", "")],
)
def test_a_text_that_comes_back_the_same_can_be_edited(content: bytes, text: str) -> None:
    found = editable_text(io.BytesIO(content), len(content))
    assert found is not None
    assert found.text == text
    assert (found.text.replace("\n", "\r\n") if found.crlf else found.text).encode() == content


@pytest.mark.parametrize("content", [b"\xff", b"a\r\nb\n", b"a\rb", b"a\0b", b"x" * 1_000_001])
def test_what_a_text_field_would_change_cannot_be_edited(content: bytes) -> None:
    assert editable_text(io.BytesIO(content), len(content)) is None


def test_a_column_is_sorted_by_number_and_what_has_no_value_is_last() -> None:
    values = ["10", "9", "b", None, "1e1", "a", "", "-3"]
    assert sorted_by(values, lambda each: each, descending=False) == ["-3", "9", "10", "1e1", "a", "b", None, ""]
    assert sorted_by(values, lambda each: each, descending=True) == ["b", "a", "10", "1e1", "9", "-3", None, ""]
