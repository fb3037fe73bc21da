"""Videos of the pool are read to their end, and who makes a project of a damaged one is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from numbered_films import write_film

from winslow_dagster.engines.memory import InMemoryEngine
from winslow_dagster.errors import NotFound
from winslow_dagster.projects.commands.project_check import NewProject, ProjectFault
from winslow_dagster.projects.installation import Installation
from winslow_dagster.services import Services
from winslow_dagster.settings import Settings

PIPELINE = """
name: watching
command: [sh, -c]
inputs:
  video: {kind: video}
stages:
  - {name: look, args: ["true"]}
"""


@pytest.fixture
def installation(tmp_path: Path, database_url: str) -> Iterator[Installation]:
    pipelines = tmp_path / "pipelines"
    pipelines.mkdir()
    (pipelines / "watching.yaml").write_text(PIPELINE)
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


def faults(installation: Installation, pool_name: str) -> tuple[ProjectFault, ...]:
    return installation.check_project(
        NewProject(pipeline="watching", project="ulm", inputs={"video": f"pool:{pool_name}"})
    )


def test_who_takes_a_damaged_video_is_warned_and_may_go_on(installation: Installation, tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.avi", 100, codec="mjpeg")
    content = film.read_bytes()
    begin, end = len(content) * 4 // 10, len(content) * 6 // 10
    damaged = tmp_path / "damaged.avi"
    damaged.write_bytes(content[:begin] + bytes(end - begin) + content[end:])
    (tmp_path / "notes.txt").write_text("no video")
    for path in (film, damaged, tmp_path / "notes.txt"):
        installation.pool.add(path)
    checks = installation.footage_checks
    assert [file.name for file in checks.waiting()] == ["film.avi", "damaged.avi"]
    assert faults(installation, "damaged.avi") == ()
    for file in checks.waiting():
        assert checks.check(file) == checks.check(file)
    assert checks.waiting() == ()
    assert set(checks.of_pool()) == {"film.avi", "damaged.avi"}
    assert [each.file.name for each in checks.damaged_lately()] == ["damaged.avi"]
    problems = {each.name: bool(each.problem) for each in checks.videos().videos}
    assert problems == {"film.avi": False, "damaged.avi": True}
    assert all(each.checked_at and each.found.startswith("mjpeg, 256 x 64, 25") for each in checks.videos().videos)
    assert faults(installation, "film.avi") == ()
    (fault,) = faults(installation, "damaged.avi")
    assert (fault.field, fault.blocking, fault.warning) == ("inputs.video", False, True)
    assert "A stage may fail only when it gets there" in fault.message
    assert checks.damage("pool:damaged.avi") == fault.message
    assert {checks.damage(each) for each in ("pool:film.avi", "pool:notes.txt", str(damaged), damaged)} == {""}
    with pytest.raises(NotFound):
        checks.damage("pool:none.avi")
