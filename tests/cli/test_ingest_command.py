"""`winslow ingest`: the list of files, why they were rejected, and another try."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from winslow_dagster.cli import main
from winslow_dagster.pipelines.model.pipeline import ProjectInput
from winslow_dagster.projects.database.audit import Audit
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.ingest.config import Watch
from winslow_dagster.projects.ingest.scan import scan
from winslow_dagster.projects.ingest.sources import OpenWatch, open_source
from winslow_dagster.projects.ingest.table import IngestTable
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
def rejected(settings: Settings, tmp_path: Path) -> None:
    """A file that is not a video was found, and rejected."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "notes.mp4").write_text("no film")
    watch = Watch(name="drone", source=str(tmp_path / "source"), pipeline="traffic", stable_for_s=0)
    database = Database(settings.database_url)
    opened = OpenWatch(watch, open_source(watch, settings), "video", ProjectInput(kind="video"))
    scan(opened, IngestTable(database), datetime.now(UTC))
    database.close()


def test_without_watches_the_watch_file_is_named(settings: Settings, capsys: Printed) -> None:
    assert run("list") == 0
    assert capsys.readouterr().out == f"no folders are watched; add some to {settings.watch_file}\n"


@pytest.mark.usefixtures("rejected")
def test_a_rejected_file_is_listed_with_the_reason(capsys: Printed) -> None:
    assert run("list", "--state", "rejected") == 0
    assert "it does not start like a video; expected a video" in capsys.readouterr().out
    assert run("list", "--state", "done", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"files": []}
    assert run("list", "--state", "lost") == 2
    assert "'lost' is not one of receiving, ready" in capsys.readouterr().err


@pytest.mark.usefixtures("rejected")
def test_folders_are_listed_and_a_rejected_file_is_dismissed(settings: Settings, capsys: Printed) -> None:
    assert run("folders", "--json") == 0
    (folder,) = json.loads(capsys.readouterr().out)["folders"]
    assert (folder["name"], folder["watched"], folder["counts"]) == ("drone", False, {"rejected": 1})
    settings.watch_file.write_text("watches:\n  - {name: films, source: /nowhere/at/all, pipeline: traffic_analysis}\n")
    assert run("folders") == 0
    assert "directory does not exist" in capsys.readouterr().out
    assert run("dismiss", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["state"] == "dismissed"
    assert run("dismiss", "1") == 5
    assert "expected a file that is failed or rejected" in capsys.readouterr().err


@pytest.mark.usefixtures("rejected")
def test_a_rejected_file_is_retried_and_who_did_it_is_in_the_audit(settings: Settings, capsys: Printed) -> None:
    assert run("retry", "1", "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["path"], again["state"], again["reason"]) == ("notes.mp4", "receiving", "")
    database = Database(settings.database_url)
    (entry,) = Audit(database).entries()
    database.close()
    assert (entry.via, entry.action, entry.details) == ("cli", "retry_ingest", {"file": 1, "path": "notes.mp4"})
    assert run("retry", "1") == 5
    assert run("retry", "2") == 4
    assert "no ingested file has the id 2" in capsys.readouterr().err
