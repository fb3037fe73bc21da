"""Cost of the asset graph with 500 pipelines, and of its sensors with 10,000 projects."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import insert

from bench.figure import Figure
from bench.installation import winslow_home
from bench.orchestration import PIPELINES, STAGES, chain, seconds
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.database.new_inputs import new_inputs, projects_by_pipeline
from winslow_dagster.projects.status.results_csv import write_results

REPEATS = 3
PROJECTS = 10_000
LOAD = """
import json, time
from dagster import repository
from winslow_dagster.assets.repository import Assets, LazyRepository
from winslow_dagster.jobs.repository import pipeline_jobs
from winslow_dagster.settings import Settings
settings = Settings.read()
assets = Assets(settings)
@repository
def loaded():
    return LazyRepository(pipeline_jobs(settings, ()), (), assets)
times = [time.perf_counter()]
assets.definitions, assets.jobs
times.append(time.perf_counter())
loaded.load_all_definitions()
times.append(time.perf_counter())
keys = len(list(loaded.asset_graph.get_all_asset_keys()))
times.append(time.perf_counter())
print(json.dumps([times[1] - times[0] + times[3] - times[2], times[2] - times[1], keys]))
"""


def figures() -> Iterator[Figure]:
    """Every figure of this benchmark."""
    yield from load_of_500_pipelines()
    yield from sensors_of_10_000_projects()


def load_of_500_pipelines() -> Iterator[Figure]:
    """Load time of the code server: the assets' part relative to the jobs' in the same process."""
    names = [f"p{number:03}" for number in range(PIPELINES)]
    inputs = "inputs: {video: {kind: video}}\n"
    with winslow_home({name: inputs + chain(name, "none:0", STAGES, "true") for name in names}):
        assets, ratios = [], []
        for _ in range(REPEATS):
            done = subprocess.run([sys.executable, "-c", LOAD], stdout=subprocess.PIPE, text=True, check=True)
            assets_s, jobs_s, keys = json.loads(done.stdout)
            if keys != PIPELINES * (STAGES + 1) + 1:
                sys.exit(f"{keys} assets")
            assets.append(assets_s)
            ratios.append((assets_s + jobs_s) / jobs_s)
    yield Figure("asset_graph_of_500_pipelines", round(statistics.median(assets), 2), "s", "", None)
    ratio = statistics.median(ratios)
    yield Figure("load_of_500_pipelines_with_by_without_assets", round(ratio, 2), "ratio", "<= 1.25", ratio <= 1.25)


def sensors_of_10_000_projects() -> Iterator[Figure]:
    """The table of all results, and the scan for new projects and files when there are none."""
    with tempfile.TemporaryDirectory(prefix="winslow-bench-") as folder:
        database = Database(f"sqlite:///{folder}/winslow.db")
        fill(database)
        target = Path(folder) / "results.csv"
        took_s = statistics.median(seconds(lambda: write_results(database, target)) for _ in range(REPEATS))
        yield Figure("results_table_of_10000_projects", round(took_s, 2), "s", "<= 10", took_s <= 10)
        now = datetime.now(UTC)

        def look() -> None:
            projects_by_pipeline(database)
            new_inputs(database, None, now, 500)

        look_s = statistics.median(seconds(look) for _ in range(REPEATS))
        yield Figure("look_for_arrivals_of_10000_projects", round(look_s, 3), "s", "<= 0.5", look_s <= 0.5)
        database.close()


def fill(database: Database) -> None:
    """Projects with a file and nine attempts each; every attempt has two results."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    for first in range(0, PROJECTS, 500):
        names = [f"project-{number:05}" for number in range(first, first + 500)]
        with database.writing() as connection:
            connection.execute(insert(schema.projects), [project_row(name, began) for name in names])
            connection.execute(insert(schema.inputs), [input_row(name, began) for name in names])
            connection.execute(
                insert(schema.attempts), [attempt_row(name, stage, began) for name in names for stage in range(STAGES)]
            )


def project_row(name: str, began: datetime) -> dict[str, object]:
    return {
        "name": name,
        "pipeline": "p",
        "pipeline_digest": "d",
        "env": {},
        "created_at": began,
        "created_by": "bench",
        "tags": [],
        "notes": "",
    }


def input_row(name: str, began: datetime) -> dict[str, object]:
    return {
        "project": name,
        "name": "video",
        "version": 1,
        "pool_id": None,
        "manifest": {"address": "a", "files": []},
        "original_path": "v.mp4",
        "added_at": began,
        "added_by": "bench",
    }


def attempt_row(name: str, stage: int, began: datetime) -> dict[str, object]:
    results = {"vehicles": str(stage), "mean_speed": "12.5"}
    findings = [{"line": line, "text": "a warning of usual length, with a number in it"} for line in range(20)]
    return {
        "task_id": f"{name}.s{stage}.1",
        "project": name,
        "pipeline": "p",
        "pipeline_digest": "d",
        "stage": f"s{stage}",
        "attempt": 1,
        "run_id": name,
        "task": {},
        "started_at": began,
        "ended_at": began + timedelta(hours=stage),
        "outcome": "succeeded",
        "message": "",
        "node": "n",
        "result": {"log": {"results": results, "warnings": findings}},
        "inputs": {},
    }
