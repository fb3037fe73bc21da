"""Pipeline files with their versions, and a new project checked before it is created."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from winslow_dagster.engines.memory import InMemoryEngine
from winslow_dagster.errors import NotFound
from winslow_dagster.projects.commands.project_check import NewProject
from winslow_dagster.projects.inputs.uploads import InputStream
from winslow_dagster.projects.installation import Installation
from winslow_dagster.services import Services
from winslow_dagster.settings import Settings

PIPELINE = """
name: counting
command: [sh, -c]
inputs:
  numbers: {kind: table, suffixes: [.csv]}
  extra: {kind: json, required: false}
env:
  TOKEN: {secret: true}
  LIMIT: "5"
stages:
  - {name: count, args: ["echo ${LIMIT} ${UNIT}"]}
"""


@pytest.fixture
def installation(tmp_path: Path, database_url: str) -> Iterator[Installation]:
    pipelines = tmp_path / "pipelines"
    pipelines.mkdir()
    (pipelines / "counting.yaml").write_text(PIPELINE)
    (pipelines / "broken.yaml").write_text("name: broken\nstages: 3\n")
    (pipelines / "other.yml").write_text("")
    settings = Settings.read(
        {
            "WINSLOW_HOME": str(tmp_path / "home"),
            "WINSLOW_PIPELINES_DIR": str(pipelines),
            "WINSLOW_DATABASE_URL": database_url,
        }
    )
    settings.home.mkdir()
    with Installation(settings, Services(settings), engine=InMemoryEngine()) as opened:
        yield opened


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.csv"
    path.write_text("a,b\n1,2\n")
    return path


def faults(installation: Installation, **entered: Any) -> dict[str, bool]:
    """The fields with faults, and whether they keep the project from being created."""
    found = installation.check_project(NewProject(**{"pipeline": "counting", "project": "ulm", **entered}))
    assert all(fault.message for fault in found)
    return {fault.field: fault.blocking for fault in found}


def test_a_file_with_errors_is_listed_with_them_and_the_others_are_not_affected(installation: Installation) -> None:
    found = installation.pipeline_files.files()
    assert [(file.name, file.pipeline is not None) for file in found.files] == [("broken", False), ("counting", True)]
    assert [problem.line for problem in installation.pipeline_files.file("broken").problems] == [2]
    assert [Path(problem.file).name for problem in found.others] == ["other.yml"]


def test_a_version_is_named_by_the_beginning_of_its_digest(installation: Installation, tmp_path: Path) -> None:
    installation.create("counting", "ulm")
    (version,) = installation.pipeline_files.versions("counting")
    assert (version.current, version.projects) == (True, ("ulm",))
    (tmp_path / "pipelines" / "counting.yaml").write_text(PIPELINE.replace('"5"', '"6"'))
    (version,) = installation.pipeline_files.versions("counting")
    assert not version.current
    changed = installation.pipeline_files.changes("counting", version.digest[:8])
    assert changed.changes == ('pipeline: env.LIMIT "5" -> "6"',)
    for wrong in (version.digest[:3], "0" * 64, ""):
        with pytest.raises(NotFound, match=version.digest[:8]):
            installation.pipeline_files.changes("counting", wrong)


def test_a_complete_new_project_has_no_faults_and_nothing_was_changed(
    installation: Installation, numbers: Path
) -> None:
    assert faults(installation, inputs={"numbers": numbers}, env={"TOKEN": "hush-hush", "UNIT": "m"}) == {}
    assert installation.projects() == ()
    assert installation.secrets.list() == ()
    assert installation.audit() == ()


def test_what_is_missing_keeps_a_project_only_from_running(installation: Installation) -> None:
    assert faults(installation) == {"inputs.numbers": False, "env.TOKEN": False, "env": False}
    installation.secrets.set("TOKEN", "hush-hush")
    assert faults(installation, env={"UNIT": "m"}) == {"inputs.numbers": False}


@pytest.mark.parametrize(
    ("entered", "field"),
    [
        ({"project": "bad name"}, "project"),
        ({"project": ""}, "project"),
        ({"pipeline": "countin"}, "pipeline"),
        ({"pipeline": "broken"}, "pipeline"),
        ({"inputs": {"numbers": "/nowhere.csv"}}, "inputs.numbers"),
        ({"inputs": {"numbers": "pool:none"}}, "inputs.numbers"),
        ({"inputs": {"nonsense": "/dev/null"}}, "inputs.nonsense"),
        ({"inputs": {"numbers": InputStream("numbers.txt", io.BytesIO())}}, "inputs.numbers"),
        ({"tags": ("x" * 64,)}, "tags"),
        ({"notes": "x" * 100_001}, "notes"),
        ({"env": {"LIMIT": 3}}, "env"),
        ({"env": {"TOKEN": "short"}}, "env.TOKEN"),
    ],
)
def test_each_mistake_is_the_fault_of_its_field(installation: Installation, entered: Any, field: str) -> None:
    assert faults(installation, **entered)[field] is True


def test_a_name_that_is_taken_is_a_fault(installation: Installation) -> None:
    installation.create("counting", "ulm")
    assert faults(installation)["project"] is True
