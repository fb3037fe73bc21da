"""Speed of listing projects and showing one, with many projects and long histories."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from bench.databases import postgres_database
from bench.figure import Figure
from winslow_dagster.engines.memory import InMemoryEngine
from winslow_dagster.pipelines import keep_version
from winslow_dagster.projects.dagster_api.client import DagsterClient
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.change_feed import ChangeFeed
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.views import ProjectQuery
from winslow_dagster.projects.installation import Installation
from winslow_dagster.settings import Settings

PROJECTS = 10_000
ATTEMPTS = 500
STAGES = 9
ROUNDS = 9
PAGE = 50
OUTCOMES = ("succeeded", "failed", "paused", "awaiting_input", "cancelled")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PIPELINE = "name: nine\ncommand: [sh, -c]\nstages:\n" + "".join(
    f"  - {{name: stage_{number}, args: ['true']}}\n" for number in range(STAGES)
)
GOAL_LIST_S = 0.2
GOAL_PAGE_S = 0.05
GOAL_CHANGES_S = 0.01


class NoServices:
    """No services run during the measurement: the tables hold everything."""

    address = "http://127.0.0.1:9"

    def running(self) -> bool:
        return False

    def for_a_while(self) -> None:
        raise AssertionError("nothing should be started")

    def dagster(self, _installation_id: str) -> DagsterClient:
        raise AssertionError("there is no web server")


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        yield from measured("sqlite", f"sqlite:///{folder}/winslow.db", Path(folder))
    with postgres_database() as url, tempfile.TemporaryDirectory() as folder:
        if url is not None:
            yield from measured("postgresql", url, Path(folder))


def measured(name: str, url: str, folder: Path) -> Iterator[Figure]:
    pipelines = folder / "pipelines"
    pipelines.mkdir()
    (pipelines / "nine.yaml").write_text(PIPELINE)
    settings = Settings.read(
        {"WINSLOW_HOME": str(folder), "WINSLOW_PIPELINES_DIR": str(pipelines), "WINSLOW_DATABASE_URL": url}
    )
    digest = keep_version(pipelines / "nine.yaml", settings.versions_dir)
    with Looking(settings) as actions:
        fill(actions.context.records, digest)
        listed_s = median_s(actions.projects)
        assert len(actions.projects()) == PROJECTS
        yield Figure(f"list_{PROJECTS}_projects_{name}", listed_s, "s", f"<= {GOAL_LIST_S}", listed_s <= GOAL_LIST_S)
        failed = ProjectQuery(states=("failed",), sort="changed_at", descending=True, limit=PAGE)
        paged_s = median_s(lambda: actions.find_projects(failed))
        page = actions.find_projects(failed)
        assert (len(page.projects), page.total) == (PAGE, PROJECTS // len(OUTCOMES))
        yield Figure(
            f"page_of_{PAGE}_of_{PROJECTS}_projects_{name}", paged_s, "s", f"<= {GOAL_LIST_S}", paged_s <= GOAL_LIST_S
        )
        yield changes_figure(name, actions.context.records)
        long = actions.project("p00000")
        page_s = median_s(lambda: (long.status(), long.history()))
        assert len(long.history()) == ATTEMPTS
        yield Figure(f"page_of_{ATTEMPTS}_attempts_{name}", page_s, "s", f"<= {GOAL_PAGE_S}", page_s <= GOAL_PAGE_S)


def changes_figure(name: str, records: ProjectRecords) -> Figure:
    """One question for what changed, as a page asks it each second; something has."""
    feed = ChangeFeed(records.database)
    cursor = feed.changes().cursor
    records.pin_pipeline("p00001", "nine", "d" * 64)
    assert feed.changes(cursor).projects == {"p00001"}
    asked_s = median_s(lambda: feed.changes(cursor))
    return Figure(
        f"changes_{PROJECTS}_projects_{name}", asked_s, "s", f"<= {GOAL_CHANGES_S}", asked_s <= GOAL_CHANGES_S
    )


class Looking(Installation):
    """A read-only installation."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, NoServices(), engine=InMemoryEngine())  # type: ignore[arg-type]  # it starts none


def median_s(call: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def fill(records: ProjectRecords, digest: str) -> None:
    """Ten thousand projects of nine attempts each, with all outcomes of runs; the first has five hundred attempts."""
    with records.database.writing() as connection:
        for at in range(0, PROJECTS, 500):
            some = range(at, at + 500)
            connection.execute(schema.projects.insert(), [project(number, digest) for number in some])
            connection.execute(schema.runs.insert(), [run(number, digest) for number in some])
            insert_attempts(connection, [(number, each, digest) for number in some for each in range(STAGES)])
        waiting = range(OUTCOMES.index("awaiting_input"), PROJECTS, len(OUTCOMES))
        connection.execute(schema.holds.insert(), [hold(number) for number in waiting])
        insert_attempts(connection, [(0, each, digest) for each in range(STAGES, ATTEMPTS)])


def insert_attempts(connection: Connection, chosen: list[tuple[int, int, str]]) -> None:
    connection.execute(schema.attempts.insert(), [attempt(*each) for each in chosen])


def project(number: int, digest: str) -> dict[str, object]:
    return {
        "name": f"p{number:05}",
        "pipeline": "nine",
        "pipeline_digest": digest,
        "env": {},
        "created_at": BEGIN,
        "created_by": "anna",
        "owner": "anna",
        "tags": ["crossroads"],
        "notes": "",
        "latest_run": f"run{number}",
    }


def run(number: int, digest: str) -> dict[str, object]:
    return {
        "run_id": f"run{number}",
        "project": f"p{number:05}",
        "pipeline": "nine",
        "pipeline_digest": digest,
        "launched_at": BEGIN + timedelta(seconds=number),
        "settings": {},
        "requested_by": "anna",
        "via": "cli",
        "reason": "",
        "ended_at": BEGIN + timedelta(seconds=number + 60),
        "outcome": OUTCOMES[number % len(OUTCOMES)],
        "outcome_reason": "because",
    }


def hold(number: int) -> dict[str, object]:
    return {
        "run_id": f"run{number}",
        "stage": "stage_3",
        "project": f"p{number:05}",
        "cause": "input",
        "message": "which side?",
        "held_at": BEGIN + timedelta(seconds=number + 59),
    }


def attempt(number: int, each: int, digest: str) -> dict[str, object]:
    stage = f"stage_{each % STAGES}"
    run_id = f"run{number}" if each < STAGES else f"earlier{each // STAGES}"
    task_id = f"{run_id}.{stage}.1"
    upstream = {f"stage_{each % STAGES - 1}": f"address {run_id}.{each - 1}"} if each % STAGES else {}
    address = f"address {run_id}.{each}"
    began = BEGIN + timedelta(seconds=each)
    result = {
        "task_id": task_id,
        "outcome": "succeeded",
        "message": "succeeded: 3 files, 120 KiB",
        "exit_code": 0,
        "started_at": began.isoformat(),
        "ended_at": (began + timedelta(seconds=1)).isoformat(),
        "node": "here",
        "log": {"lines": 1000, "results": {"vehicles": "12"}},
    }
    return {
        "task_id": task_id,
        "project": f"p{number:05}",
        "pipeline": "nine",
        "pipeline_digest": digest,
        "stage": stage,
        "attempt": 1,
        "run_id": run_id,
        "task": {"task_id": task_id},
        "started_at": began,
        "ended_at": began + timedelta(seconds=1),
        "outcome": "succeeded",
        "message": "succeeded: 3 files, 120 KiB",
        "node": "here",
        "mode": "process",
        "result": result,
        "manifest": {"address": address, "files": []},
        "inputs": upstream,
        "output_address": address,
    }
