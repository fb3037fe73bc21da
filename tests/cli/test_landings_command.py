"""`winslow ingest`: what landed, why it was set aside, and another try."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from winslow_dagster.cli import main
from winslow_dagster.pipelines.model.pipeline import ProjectInput
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.ingest.config import Watch
from winslow_dagster.projects.ingest.scan import look
from winslow_dagster.projects.ingest.sources import Watched, open_place
from winslow_dagster.projects.ingest.table import Landings
from winslow_dagster.settings import Settings

Printed = pytest.CaptureFixture[str]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["ingest", *arguments])
    return int(ended.value.code or 0)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    return Settings.read()


@pytest.fixture
def set_aside(settings: Settings, tmp_path: Path) -> None:
    """A file that is no film has landed, and was looked into."""
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "notes.mp4").write_text("no film")
    watch = Watch(name="drone", place=str(tmp_path / "place"), pipeline="traffic", settle_s=0)
    database = Database(settings.database_url)
    watched = Watched(watch, open_place(watch, settings), "video", ProjectInput(kind="video"))
    look(watched, Landings(database), datetime.now(UTC))
    database.close()


def test_where_nothing_is_watched_it_says_in_which_file_to_say_what(settings: Settings, capsys: Printed) -> None:
    assert run("list") == 0
    assert capsys.readouterr().out == f"nothing is watched: say what in {settings.watch_file}\n"


@pytest.mark.usefixtures("set_aside")
def test_what_was_set_aside_is_listed_with_the_reason(capsys: Printed) -> None:
    assert run("list", "--state", "set_aside") == 0
    assert "it does not begin as a video does; expected a video" in capsys.readouterr().out
    assert run("list", "--state", "taken", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"landings": []}
    assert run("list", "--state", "lost") == 2
    assert "'lost' is none of growing, waiting" in capsys.readouterr().err


@pytest.mark.usefixtures("set_aside")
def test_a_file_is_looked_at_again_when_a_person_asks(capsys: Printed) -> None:
    assert run("retry", "1", "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["path"], again["state"], again["reason"]) == ("notes.mp4", "growing", "")
    assert run("retry", "1") == 5
    assert run("retry", "2") == 4
    assert "nothing landed as number 2" in capsys.readouterr().err
