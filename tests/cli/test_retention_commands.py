"""`winslow usage | prune | pin | unpin | retention` on an installation with something to clean."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from winslow_dagster.cli.main import main
from winslow_dagster.errors import NotFound
from winslow_dagster.pipelines import keep_version
from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.projects.database.audit import Audit
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.model import RunRecord
from winslow_dagster.settings import Settings
from winslow_dagster.stages.task.model import StageResult, StageTask
from winslow_dagster.storage.factory import open_store

PIPELINE = """
name: traffic
stages:
  - {name: detect, command: ["true"], highlights: [preview.png], retention: [{attempts: 1}]}
"""
Ask = Callable[..., Any]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Two good attempts of one stage, of which the rules let most of the first go."""
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WINSLOW_PIPELINES_DIR", str(tmp_path / "pipelines"))
    file = tmp_path / "pipelines" / "traffic.yaml"
    file.parent.mkdir()
    file.write_text(PIPELINE)
    settings = Settings.read()
    digest = keep_version(file, settings.versions_dir)
    records, store = ProjectRecords.open(settings.database_url), open_store(settings.store_url)
    records.create_project("ulm-07", pipeline="traffic", pipeline_digest=digest, env={}, created_by="anna")
    for number in (1, 2):
        at = datetime.now(UTC) - timedelta(days=10 - number)
        run_id = f"run{number}"
        task = StageTask(
            task_id=f"{run_id}.detect.1",
            project="ulm-07",
            pipeline="traffic",
            stage="detect",
            attempt=1,
            run_id=run_id,
            output_address=f"{run_id}/output",
            log_address=f"{run_id}/log",
            store_url=settings.store_url,
            log_rules=LogRules(),
        )
        outputs = tmp_path / run_id
        outputs.mkdir()
        (outputs / "vehicles.csv").write_bytes(b"v" * 2048)
        (outputs / "preview.png").write_bytes(b"p" * 10)
        records.record_run(RunRecord(run_id, "ulm-07", "traffic", digest, at, "anna"))
        records.attempt_started(task, pipeline_digest=digest)
        result = StageResult(
            task_id=task.task_id,
            outcome="succeeded",
            message="",
            started_at=at,
            ended_at=at,
            node="n",
            outputs=store.commit_tree(outputs, task.output_address),
        )
        records.attempt_ended(task.task_id, result)
        records.record_run_end(run_id, "succeeded", "", at)
    records.close()
    return settings


@pytest.fixture
def ask(settings: Settings, capsys: pytest.CaptureFixture[str]) -> Ask:
    """What the command prints as JSON, on stderr where it fails."""
    del settings

    def run(*words: str, code: int = 0) -> Any:
        with pytest.raises(SystemExit) as ended:
            main([*words, "--json"])
        printed = capsys.readouterr()
        assert ended.value.code == code, printed
        return json.loads(printed.out or printed.err)

    return run


def test_prune_lists_what_it_would_delete_and_deletes_it_only_with_yes(ask: Ask, settings: Settings) -> None:
    planned = ask("prune")
    assert planned == ask("prune", "--dry-run") == ask("prune", "ulm-07")
    assert planned["removals"] == [
        {
            "project": "ulm-07",
            "stage": "detect",
            "task_id": "run1.detect.1",
            "kind": "outputs",
            "address": "run1/output",
            "paths": ["vehicles.csv"],
            "size_bytes": 2048,
            "reason": "1 newer attempt",
            "task_ids": ["run1.detect.1"],
        }
    ]
    assert (planned["size_bytes"], planned["freed_bytes"]) == (2048, None)
    store = open_store(settings.store_url)
    assert len(store.manifest("run1/output").files) == 2  # type: ignore[union-attr]  # it is there
    assert ask("prune", "--yes")["freed_bytes"] == 2048
    assert [entry.path for entry in store.manifest("run1/output").files] == ["preview.png"]  # type: ignore[union-attr]
    assert ask("prune")["removals"] == []


def test_usage_is_shown_by_stage(ask: Ask) -> None:
    use = ask("usage")
    assert use["stages"] == [
        {
            "project": "ulm-07",
            "stage": "detect",
            "attempts": 2,
            "outputs_bytes": 2 * 2058,
            "logs_bytes": 0,
            "leftovers_bytes": 0,
        }
    ]
    assert (use["inputs_bytes"], use["cache_bytes"]) == ({}, 0)


def test_a_pinned_attempt_stays_and_who_pinned_it_is_in_the_audit(ask: Ask, settings: Settings) -> None:
    assert ask("pin", "ulm-07", "detect", "1", "--reason", "a figure")["task_id"] == "run1.detect.1"
    assert ask("prune")["removals"] == []
    assert ask("unpin", "ulm-07", "detect", "1") == {
        "project": "ulm-07",
        "stage": "detect",
        "attempt": 1,
        "task_id": "run1.detect.1",
    }
    assert len(ask("prune")["removals"]) == 1
    records = ProjectRecords.open(settings.database_url)
    assert {entry.action for entry in Audit(records.database).entries("ulm-07")} == {"pin", "unpin"}
    records.close()


def test_a_projects_own_rules_are_set_shown_and_cleared(ask: Ask) -> None:
    assert ask("retention", "ulm-07") == {"rules": []}
    rule = {"what": "outputs", "glob": "*.csv", "attempts": 2, "days": None}
    assert ask("retention", "ulm-07", '{glob: "*.csv", attempts: 2}') == {"rules": [rule]}
    assert ask("retention", "ulm-07") == {"rules": [rule]}
    assert ask("prune")["removals"] == []
    assert ask("retention", "ulm-07", "--clear") == {"rules": []}
    assert len(ask("prune")["removals"]) == 1


def test_rules_of_one_project_and_of_all_are_tried_before_they_are_set(ask: Ask, tmp_path: Path) -> None:
    kept = ask("retention", "ulm-07", "{}", "--preview")
    assert (kept["removed"], kept["kept_bytes"]) == ([], 2048)
    assert ask("retention", "ulm-07") == {"rules": []}
    file = tmp_path / "rules.yaml"
    file.write_text("retention: [{what: failed, days: 3}]  # ours\n")
    assert ask("rules", "preview", str(file)) == {"removed": [], "kept": [], "removed_bytes": 0, "kept_bytes": 0}
    assert ask("rules", "show")["version"] == 0
    assert ask("rules", "set", str(file))["version"] == 1
    shown = ask("rules", "show")
    assert (shown["text"], shown["rules"][0]["what"]) == (file.read_text(), "failed")
    with pytest.raises(SystemExit):
        main(["rules", "set", str(file), "--version", "0"])


@pytest.mark.parametrize(
    "rule", ["{attempts: 0}", "{days: -1}", "{glob: 1}", "nothing", "{", "{day: 3}", "{days: .inf}"]
)
def test_an_invalid_rule_is_rejected_and_changes_nothing(ask: Ask, rule: str) -> None:
    with pytest.raises(SystemExit):
        main(["retention", "ulm-07", rule])
    assert ask("retention", "ulm-07") == {"rules": []}


def test_unknown_attempts_and_contradictory_options_are_errors(ask: Ask) -> None:
    assert (
        "a number from 1 to 2, or a task id" in ask("pin", "ulm-07", "detect", "3", code=NotFound.exit_code)["expected"]
    )
    assert ask("unpin", "ulm-07", "detect", "1", code=NotFound.exit_code)["what"] == "the attempt is not pinned"
    assert "cannot be combined" in ask("prune", "--yes", "--dry-run", code=2)["what"]


def test_people_see_tables(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    del settings
    printed = []
    for words in (["prune"], ["usage"], ["retention", "ulm-07"], ["prune", "--yes"], ["prune"]):
        with pytest.raises(SystemExit):
            main(words)
        printed.append(capsys.readouterr())
    dry, disk, rules, done, after = printed
    assert "1 file of run1.detect.1" in dry.out
    assert "this would free 2 KiB; --yes deletes it" in dry.err
    assert "4 KiB" in disk.out
    assert "ulm-07 has no retention rules of its own" in rules.out
    assert "freed 2 KiB" in done.err
    assert "nothing to delete" in after.out
