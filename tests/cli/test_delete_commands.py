"""`winslow delete | restore | list | views` on an installation without services."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from winslow_dagster.cli.main import main
from winslow_dagster.errors import NotFound, ProjectConflict, ProjectDeleted, UsageError
from winslow_dagster.projects.domain.model import RunRecord
from winslow_dagster.projects.installation import Installation
from winslow_dagster.services import Services
from winslow_dagster.settings import Settings

PIPELINE = "name: one\nstages: [{name: work, command: ['true']}]\n"
Ask = Callable[..., Any]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Runs a command; returns its JSON, or with `text` what it printed."""
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WINSLOW_PIPELINES_DIR", str(tmp_path / "pipelines"))
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "one.yaml").write_text(PIPELINE)
    settings = Settings.read()
    with Installation(settings, Services(settings)) as installation:
        for name, tags in (("ulm", ["sun"]), ("bonn", ["rain"]), ("kiel", ["rain"])):
            installation.create("one", name, tags=tags)

    def run(*words: str, code: int = 0, text: bool = False) -> Any:
        with pytest.raises(SystemExit) as ended:
            main([*words, *([] if text else ["--json"])])
        output = capsys.readouterr()
        assert ended.value.code == code, output
        if text:
            return output.out + output.err
        return json.loads(output.err if code else output.out)

    return run


def names(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [each["project"] for each in answer["projects"]]


def test_projects_are_deleted_listed_and_restored(ask: Ask) -> None:
    deleted = ask("delete", "ulm", "bonn", "--reason", "test films")["deleted"]
    assert [(each["project"], each["reason"]) for each in deleted] == [("ulm", "test films"), ("bonn", "test films")]
    assert names(ask("list")) == names(ask("status")) == ["kiel"]
    assert [each["project"] for each in ask("list", "--deleted")["deleted"]] == ["bonn", "ulm"]
    assert "removed for good" in ask("list", "--deleted", text=True)
    problem = ask("status", "ulm", code=ProjectDeleted.exit_code)
    assert problem["error"] == "ProjectDeleted"
    assert problem["command"].endswith("restore ulm")
    assert ask("restore", "ulm", "bonn") == {"restored": ["ulm", "bonn"]}
    assert names(ask("list")) == ["bonn", "kiel", "ulm"]
    assert "no project is deleted" in ask("list", "--deleted", text=True)


def test_what_it_means_can_be_asked_first(ask: Ask) -> None:
    (effect,) = ask("delete", "ulm", "--dry-run")["effects"]
    assert effect == {"project": "ulm", "attempts": 0, "size_bytes": 0, "used_by": [], "kept_days": 30.0}
    assert "ulm has 0 attempts and 0 B. It can be restored for 30 days." in ask("delete", "ulm", "--dry-run", text=True)
    assert len(names(ask("list"))) == 3


def test_for_good_needs_the_name_or_yes_and_frees_the_name(ask: Ask) -> None:
    assert "was not confirmed" in ask("delete", "ulm", "--for-good", code=UsageError.exit_code)["what"]
    assert len(names(ask("list"))) == 3
    (purged,) = ask("delete", "ulm", "--for-good", "--yes")["purged"]
    assert purged == {"project": "ulm", "freed_bytes": 0, "gone": True, "used_by": []}
    assert ask("status", "ulm", code=NotFound.exit_code)["error"] == "NotFound"
    assert [each["action"] for each in ask("audit", "ulm")["entries"]] == ["purge", "delete", "create"]
    assert ask("create", "one", "--project", "ulm")["state"] == "idle"


def test_a_deleted_project_keeps_its_name(ask: Ask) -> None:
    ask("delete", "ulm")
    problem = ask("create", "one", "--project", "ulm", code=ProjectDeleted.exit_code)
    assert problem["command"].endswith("restore ulm")


def test_a_saved_view_is_listed_by_its_name_in_its_order(ask: Ask) -> None:
    saved = ask("views", "save", "rainy", "--filter", "tag:rain", "--sort", "name", "--shared")
    assert (saved["filter"], saved["sort"], saved["descending"], saved["shared"]) == ("tag:rain", "name", True, True)
    assert names(ask("list", "--view", "rainy")) == ["kiel", "bonn"]
    assert names(ask("list", "--filter", "tag:sun")) == ["ulm"]
    assert [view["name"] for view in ask("views")["views"]] == ["rainy"]
    assert "tag:rain" in ask("views", text=True)
    assert "one of rainy" in ask("list", "--view", "sunny", code=NotFound.exit_code)["expected"]
    assert "exclude each other" in ask("list", "--view", "rainy", "--deleted", code=UsageError.exit_code)["what"]
    assert ask("views", "delete", "rainy") == {"deleted": "rainy"}
    assert ask("views") == {"views": []}


def test_a_failure_is_dismissed_and_that_is_undone(ask: Ask) -> None:
    assert "has not failed" in ask("dismiss", "ulm", code=ProjectConflict.exit_code)["what"]
    settings, at = Settings.read(), datetime.now(UTC)
    with Installation(settings, Services(settings)) as installation:
        records = installation.context.records
        records.record_run(RunRecord("run1", "ulm", "one", records.project("ulm").pipeline_digest, at, "anna"))
        records.record_run_end("run1", "failed", "work: exit code 3", at)
    assert ask("dismiss", "ulm")["dismissed"]["ulm"]["run_id"] == "run1"
    assert ask("dismiss", "ulm", "--undo") == {"dismissed": {"ulm": None}}
    assert "noted" in ask("dismiss", "ulm", text=True)
