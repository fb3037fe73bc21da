"""Variables of an installation: which pipelines get them, what overrides them, and who may change them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from winslow_dagster import Winslow
from winslow_dagster.errors import Forbidden, ProjectConflict, VariableMissing, VariablesInvalid
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.global_variables import GlobalVariables, VariableGroup, VariablesPreview
from winslow_dagster.settings import Settings

PIPELINE = """
name: {name}
env: {{OWN: pipeline}}
stages:
  - name: only
    command: [echo]
    args: ["${{SITE}}"]
    env: {{LEVEL: 'stage of ${{SITE:-nowhere}}'}}
"""
TEXT = """\
# where we are
env: {SITE: ulm, OWN: installation, DEBUG: true}
groups:
  - {name: cameras, pipelines: "traffic*", env: {SITE: bonn, TOKEN: {secret: true}}}
"""


@pytest.fixture
def winslow(tmp_path: Path) -> Iterator[Winslow]:
    directory = tmp_path / "pipelines"
    directory.mkdir()
    for name in ("traffic", "other"):
        (directory / f"{name}.yaml").write_text(PIPELINE.format(name=name))
    settings = Settings.read({"WINSLOW_HOME": str(tmp_path / "home"), "WINSLOW_PIPELINES_DIR": str(directory)})
    with Winslow(settings, Actor("anna")) as winslow:
        yield winslow


def test_later_groups_override_earlier_ones_and_what_is_for_all() -> None:
    groups = (
        VariableGroup(name="a", pipelines=("traffic*",), env={"A": "a", "B": "a"}),
        VariableGroup(name="b", pipelines=("other", "traffic"), env={"B": "b"}),
    )
    variables = GlobalVariables(env={"A": "all", "C": "all"}, groups=groups)
    assert variables.of("traffic") == {"A": "a", "B": "b", "C": "all"}
    assert variables.of("other") == {"A": "all", "B": "b", "C": "all"}
    assert variables.of("third") == {"A": "all", "C": "all"}


def test_a_stage_gets_them_below_its_own_variables_and_the_page_says_where_they_are_from(winslow: Winslow) -> None:
    winslow.variables.set(TEXT, version=0)
    for name, site in (("traffic", "bonn"), ("other", "ulm")):
        project = winslow.create(name, name)
        found = {each.name: each for each in project.settings("only").variables}
        assert (found["SITE"].value, found["SITE"].origin) == (site, "installation")
        assert (found["LEVEL"].value, found["LEVEL"].origin) == (f"stage of {site}", "stage")
        assert (found["OWN"].value, found["OWN"].origin) == ("pipeline", "pipeline")
        assert found["OWN"].overrides == (("installation", "installation"),)
        assert found["DEBUG"].value == "true"
        assert ("TOKEN" in found) == (name == "traffic")


def test_a_run_needs_the_variables_that_the_installation_has(winslow: Winslow) -> None:
    winslow.create("other", "one")
    with pytest.raises(VariableMissing, match="SITE"):
        winslow.project("one").plan("only")
    winslow.variables.set("env: {SITE: ulm}\n", version=0)
    assert winslow.project("one").plan("only").stages == ("only",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("env: {1A: x}\n", "global variables:1:"),
        ("env: {A: '${B'}\n", "global variables:1:.*is not closed"),
        ("env: {A: {secrt: true}}\n", "did you mean secret"),
        ("groups: [{name: a, env: {A: b}}]\n", "pipelines"),
        ("groups: [{name: a, pipelines: [], env: {A: b}}]\n", "global variables:1:"),
        (
            "groups:\n  - {name: a, pipelines: x, env: {}}\n  - {name: a, pipelines: x, env: {}}\n",
            "global variables:3:.*duplicate group name",
        ),
        ("variables: {}\n", "no field `variables`"),
    ],
)
def test_they_are_checked_as_a_pipeline_file_is(winslow: Winslow, text: str, problem: str) -> None:
    with pytest.raises(VariablesInvalid, match=problem):
        winslow.variables.preview(text)
    with pytest.raises(VariablesInvalid, match=problem):
        winslow.variables.set(text, version=0)
    assert winslow.variables.view().version == 0


def test_a_preview_says_which_pipelines_get_what(winslow: Winslow) -> None:
    assert winslow.variables.preview("# none\n") == ()
    found = {each.pipeline: each for each in winslow.variables.preview(TEXT)}
    assert found["other"] == VariablesPreview(pipeline="other", added=("DEBUG", "OWN", "SITE"), overridden=("OWN",))
    assert found["traffic"].added == ("DEBUG", "OWN", "SITE", "TOKEN")
    winslow.variables.set(TEXT, version=0)
    (changed,) = winslow.variables.preview(TEXT.replace("bonn", "trier").replace(", TOKEN: {secret: true}", ""))
    assert changed == VariablesPreview(pipeline="traffic", changed=("SITE",), removed=("TOKEN",))


def test_of_two_who_change_them_at_once_the_second_is_told_and_the_audit_trail_has_both(winslow: Winslow) -> None:
    bruno = winslow.acting_as(Actor("bruno"))
    assert winslow.variables.set(TEXT, version=0).changed_by == "anna"
    with pytest.raises(ProjectConflict, match="anna has changed this meanwhile"):
        bruno.variables.set("env: {A: b}\n", version=0)
    bruno.variables.set("env: {A: b}\n", version=1)
    last, first = winslow.audit()
    assert (first.who, first.action, first.details) == ("anna", "global_variables", {"after": TEXT})
    assert (last.who, last.details) == ("bruno", {"before": TEXT, "after": "env: {A: b}\n"})


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_administrators_change_or_try_them(winslow: Winslow, role: str) -> None:
    vera = winslow.acting_as(Actor("vera", "console", "", role))  # type: ignore[arg-type]  # one of the roles
    with pytest.raises(Forbidden):
        vera.variables.set(TEXT, version=0)
    with pytest.raises(Forbidden):
        vera.variables.preview(TEXT)
    assert vera.variables.view().text == ""
