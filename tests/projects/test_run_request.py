"""What can be asked of a run, and what is said where it cannot."""

from __future__ import annotations

from typing import Any

import pytest

from winslow_dagster.errors import InputRejected, NotFound, ProjectConflict, VariableMissing
from winslow_dagster.pipelines.model.pipeline import Pipeline, Stage
from winslow_dagster.projects.domain.run_request import KnownFiles, RunRequest, RunScope, check_variables

#   one ─ two ─ left ──── join
#             └ right ─┘
PIPELINE = Pipeline(
    name="branching",
    stages=(
        Stage(name="one", command=("true",)),
        Stage(name="two", command=("true",), after=("one",)),
        Stage(name="left", command=("true",), after=("two",)),
        Stage(name="right", command=("true",), after=("two",)),
        Stage(name="join", command=("true",), after=("left", "right")),
    ),
)


def asked(**given: Any) -> RunRequest:
    return RunRequest.checked(PIPELINE, {"project": "ulm-07", **given})


def scope(**given: Any) -> RunScope:
    return RunScope(PIPELINE, asked(**given))


def test_the_run_config_says_only_what_was_asked() -> None:
    request = asked(start_from="two", stages={"two": {"env": {"A": "1"}, "cpus": 2}})
    assert request.run_config() == {
        "project": "ulm-07",
        "start_from": "two",
        "stages": {"two": {"env": {"A": "1"}, "cpus": 2.0}},
    }
    assert asked().run_config() == {"project": "ulm-07"}


@pytest.mark.parametrize("given", [{"start_from": "tow"}, {"stop_after": "tow"}, {"stages": {"tow": {}}}])
def test_a_stage_there_is_not_is_named_with_the_one_meant(given: dict[str, Any]) -> None:
    with pytest.raises(NotFound, match=r"no stage 'tow'.*Did you mean two\?"):
        asked(**given)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"colour": "red"}, "stages.two.colour"),
        ({"cpus": 0}, "stages.two.cpus"),
        ({"cpus": float("inf")}, "stages.two.cpus"),
        ({"image": ".."}, "'..' is not an image name"),
        ({"memory": "8 elephants"}, "settings of two"),
        ({"timeout": "soon"}, "settings of two"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_its_place(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(InputRejected, match=says):
        asked(stages={"two": settings})


def test_without_a_start_every_stage_runs() -> None:
    assert scope().running({"one", "two"}) == {"one", "two", "left", "right", "join"}


def test_from_a_start_on_what_follows_runs_and_beside_it_what_never_ran() -> None:
    assert scope(start_from="left").running({"one", "two", "right"}) == {"left", "join"}
    assert scope(start_from="left").running({"one", "two"}) == {"left", "right", "join"}


def test_after_the_stop_nothing_runs() -> None:
    assert scope(stop_after="left").running(()) == {"one", "two", "left"}


def test_a_start_whose_upstream_never_finished_is_a_conflict() -> None:
    with pytest.raises(ProjectConflict, match=r"needs the outputs of two, which do not exist.*Start from two"):
        scope(start_from="left").check({"one"})


def test_a_stop_before_the_start_is_a_conflict() -> None:
    with pytest.raises(ProjectConflict, match="stop_after one comes before start_from left"):
        scope(start_from="left", stop_after="one").check({"one", "two"})


def test_settings_of_a_stage_that_does_not_run_are_a_conflict() -> None:
    with pytest.raises(ProjectConflict, match="there are settings for two, which will not run"):
        scope(start_from="join", stages={"two": {"cpus": 2}}).check({"one", "two", "left", "right"})


WITH_VARIABLES = Pipeline(
    name="variables",
    env={"MODEL": "${WINSLOW_RESOURCES_DIR}/models/${SIZE}.pt"},
    stages=(Stage(name="detect", command=("detect",), args=("--scale", "${SCALE:?give a scale}"), env={"SIZE": "n"}),),
)


def variables(project_env: dict[str, str], **given: Any) -> None:
    request = RunRequest.checked(WITH_VARIABLES, {"project": "ulm-07", **given})
    check_variables(WITH_VARIABLES, {"detect"}, request, project_env, KnownFiles({"video": "film.mp4"}))


@pytest.mark.parametrize(
    ("project_env", "given"),
    [
        ({"SCALE": "1"}, {}),
        ({}, {"env": {"SCALE": "1"}}),
        ({}, {"stages": {"detect": {"env": {"SCALE": "1"}}}}),
        ({}, {"stages": {"detect": {"args": ["${WINSLOW_RESOURCE_VIDEO}"]}}}),
    ],
)
def test_a_required_variable_may_come_from_project_run_or_stage(
    project_env: dict[str, str], given: dict[str, Any]
) -> None:
    variables(project_env, **given)


def test_a_required_variable_without_a_value_is_found_before_anything_runs() -> None:
    with pytest.raises(VariableMissing, match="SCALE: give a scale"):
        variables({})


def test_a_stage_that_does_not_run_may_lack_its_variables() -> None:
    request = RunRequest.checked(WITH_VARIABLES, {"project": "ulm-07"})
    check_variables(WITH_VARIABLES, (), request, {}, KnownFiles({}))


def vault() -> Pipeline:
    return Pipeline(
        name="vault",
        env={"TOKEN": {"secret": True}},
        stages=(Stage(name="use", image="x"), Stage(name="also", image="x")),
    )


@pytest.mark.parametrize("place", ["run", "stage"])
def test_the_value_of_a_secret_is_refused_without_being_shown(place: str) -> None:
    env = {"TOKEN": "hunter2-hunter2"}
    values = {"env": env} if place == "run" else {"stages": {"use": {"env": env}}}
    with pytest.raises(InputRejected, match=r"TOKEN is a secret.*expected a reference.*\{secret: TOKEN\}") as caught:
        RunRequest.checked(vault(), {"project": "p", **values})
    assert "hunter2" not in str(caught.value)


def test_a_run_refers_to_secrets_and_its_record_and_run_config_do_too() -> None:
    stages = {"use": {"env": {"PLAIN": "1", "OWN": {"secret": "B", "in_env": True}}}}
    values = {"project": "p", "env": {"TOKEN": {"secret": "A"}}, "stages": stages}
    request = RunRequest.checked(vault(), values)
    assert request.run_config() == values
    assert request.record_fields()["settings"] == {"env": values["env"], "stages": stages}
    assert RunRequest.checked(vault(), request.run_config()) == request
