"""`winslow compare`, as another program sees it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from winslow_dagster.cli.main import main
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.settings import Settings
from winslow_dagster.stages.task.model import LogSummary, StageResult, StageTask
from winslow_dagster.storage.factory import open_store

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project `ulm` with three attempts of `detect`, and `bonn` with one; each made a table."""
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    settings = Settings.read()
    records, store = ProjectRecords.open(settings.database_url), open_store(settings.store_url)
    for project, threshold in (("ulm", "1"), ("ulm", "2"), ("ulm", "3"), ("bonn", "1")):
        if threshold == "1":
            records.create_project(project, pipeline="traffic", pipeline_digest="d" * 64, env={}, created_by="anna")
        made = tmp_path / f"{project}-{threshold}"
        made.mkdir()
        (made / "tracks.csv").write_text(f"speed\n{threshold}\n")
        (made / "chart.svg").write_text(f"<svg>{threshold}</svg>")
        task = StageTask.model_validate(
            {
                "task_id": f"{project}{threshold}.detect.1",
                "project": project,
                "pipeline": "traffic",
                "stage": "detect",
                "run_id": f"{project}{threshold}",
                "env_layers": [{"THRESHOLD": threshold}],
                "args": ["--threshold", "${THRESHOLD}"],
                "output_address": made.name,
                "log_address": "l",
                "store_url": settings.store_url,
                "log_rules": {},
            }
        )
        records.attempt_started(task)
        outputs = store.commit_tree(made, made.name)
        log = LogSummary(results={"vehicles": threshold})
        ended = StageResult(
            task_id=task.task_id, outcome="succeeded", message="", started_at=NOW, ended_at=NOW, node="here",
            outputs=outputs, log=log,
        )  # fmt: skip
        records.attempt_ended(task.task_id, ended)
    records.close()


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["compare", *arguments])
    out, err = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out, err


@pytest.mark.usefixtures("three")
def test_two_attempts_are_printed_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "ulm", "detect", "1", "3")
    assert code == 0
    assert "ulm:detect:1" in out
    assert "env.THRESHOLD" in out
    assert "args: [--threshold]  -[1]  +[3]" in out
    assert "table tracks.csv" in out
    assert "picture chart.svg differs" in out


@pytest.mark.usefixtures("three")
def test_as_json_two_attempts_are_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, "ulm:detect:2", "bonn:detect:1", "--json")
    found: dict[str, Any] = json.loads(out)
    assert list(found) == [
        *("left", "right", "parameters", "results", "progress", "measures", "files", "tables", "pictures", "notes")
    ]
    assert [row["path"] for row in found["parameters"]] == ["args", "env.THRESHOLD"]


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(("arguments", "attempts"), [((), 3), (("1", "2", "3"), 3)])
def test_all_attempts_of_a_stage_are_one_table(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], attempts: int
) -> None:
    _, out, _ = said(capsys, "ulm", "detect", *arguments, "--json")
    table = json.loads(out)
    assert [row["parameters"]["env.THRESHOLD"] for row in table["rows"]] == ["1", "2", "3"]
    _, out, _ = said(capsys, "ulm", "detect", *arguments)
    assert len(out.splitlines()) == 1 + attempts


@pytest.mark.usefixtures("three")
def test_rows_of_a_table_and_equal_parameters_are_printed_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, "ulm", "detect", "1", "3", "--table", "tracks.csv")
    assert "tracks.csv by speed: 0 rows are the same, 0 changed, 1 added, 1 removed" in out
    _, out, _ = said(capsys, "ulm:detect:1", "bonn:detect:1", "--table", "tracks.csv", "--key", "speed", "--json")
    assert (json.loads(out)["same"], json.loads(out)["rows"]) == (1, [])
    assert said(capsys, "ulm", "detect", "1", "3", "--table", "none.csv")[1].startswith("none.csv: left: there is no")
    assert said(capsys, "ulm", "detect", "1", "3", "--table", "tracks.csv", "--key", "x")[0] == 6
    _, out, _ = said(capsys, "ulm:detect:1", "bonn:detect:1", "--everything", "--json")
    assert "env.THRESHOLD" in {row["path"] for row in json.loads(out)["parameters"]}
    assert said(capsys, "ulm", "detect", "--log")[0] == 2


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("ulm",), 2),
        (("ulm", "detect", "1"), 2),
        (("ulm", "detect", "one", "two"), 4),
        (("ulm:detect:1",), 2),
        (("ulm:detect:1", "bonn"), 2),
        (("ulm", "detect", "1", "4"), 4),
        (("nowhere", "detect"), 4),
        (("ulm", "track"), 4),
    ],
)
def test_what_cannot_be_compared_is_an_error(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int
) -> None:
    assert said(capsys, *arguments)[0] == code
