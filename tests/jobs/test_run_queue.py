"""Dagster's queue starts what our rule says, with the limits that our coordinator gives it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest
import yaml
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from winslow_dagster.defaults import default_file
from winslow_dagster.engines.local import LocalEngine
from winslow_dagster.projects.dagster_api.client import PROJECT_TAG
from winslow_dagster.projects.database.queue_entries import QueueEntries
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.queue_rules import (
    GPU_QUEUE,
    HELD_TAG,
    PRIORITY_TAG,
    QUEUE_TAG,
    SWEEP_LIMIT_TAG,
    QueueItem,
    QueueLimits,
    places_of,
    starting,
)
from winslow_dagster.settings import Settings

ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("winslow"), "r"), "j")
SHIPPED = yaml.safe_load(default_file("dagster.yaml").read_text())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WINSLOW_DATABASE_URL", f"sqlite:///{tmp_path / 'winslow.db'}")
    return Settings.read()


@pytest.fixture
def instance(home: Settings, tmp_path: Path) -> Iterator[DagsterInstance]:
    """With the queue of the shipped file."""
    del home
    (tmp_path / "dagster").mkdir()
    parts = {name: SHIPPED[name] for name in ("telemetry", "concurrency", "run_coordinator")}
    (tmp_path / "dagster" / "dagster.yaml").write_text(yaml.safe_dump(parts))
    with DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        yield instance


def add(instance: DagsterInstance, status: DagsterRunStatus, **tags: str) -> str:
    run = DagsterRun(job_name="j", run_id=str(uuid4()), status=status, tags=tags, remote_job_origin=ORIGIN)
    instance.run_storage.add_run(run)
    return run.run_id


def started(instance: DagsterInstance) -> list[str]:
    """The runs that Dagster would start now."""
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
    found = daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), None)
    return [run.run_id for run in found]


def some_tags(random: Random) -> dict[str, str]:
    tags = {QUEUE_TAG: random.choice([GPU_QUEUE, "cpu"])}
    if random.random() < 0.4:
        tags[PRIORITY_TAG] = random.choice(["-1", "1", "5", "high"])
    if random.random() < 0.3:
        tags[f"{SWEEP_LIMIT_TAG}{random.choice([1, 2])}"] = random.choice(["first", "second"])
    if random.random() < 0.2:
        tags[HELD_TAG] = random.choice(["yes", "no"])
    return tags


def test_dagster_starts_what_the_rule_says(instance: DagsterInstance) -> None:
    for seed in range(20):
        random = Random(seed)
        instance.run_storage.wipe()
        active = [some_tags(random) for _ in range(random.choice([0, 3, 17, 21]))]
        waiting = [some_tags(random) for _ in range(random.randint(1, 12))]
        in_progress = [QueueItem.of_tags(add(instance, DagsterRunStatus.STARTED, **tags), tags) for tags in active]
        queued = [QueueItem.of_tags(add(instance, DagsterRunStatus.QUEUED, **tags), tags) for tags in waiting]

        wanted = [item.run_id for item in starting(queued, places_of(QueueLimits.of(0), in_progress))]

        assert started(instance) == wanted, seed


def test_what_people_say_about_a_waiting_run_holds_from_the_next_pass_on(
    instance: DagsterInstance, home: Settings
) -> None:
    records = ProjectRecords.open(home.database_url)
    for name in ("ulm", "bonn"):
        records.create_project(name, pipeline="p", pipeline_digest="0" * 64, env={}, created_by="anna")
    ulm, bonn = (add(instance, DagsterRunStatus.QUEUED, **{PROJECT_TAG: name}) for name in ("ulm", "bonn"))
    entries = QueueEntries(records.database)
    assert started(instance) == [ulm, bonn]

    entries.set_priority("bonn", [bonn], 3)
    assert started(instance) == [bonn, ulm]

    entries.hold("bonn", [bonn], by="anna", at=datetime.now(UTC), reason="")
    assert started(instance) == [ulm]

    entries.release("bonn", [bonn])
    assert started(instance) == [bonn, ulm]
    records.close()


def test_nothing_starts_while_every_machine_is_drained(instance: DagsterInstance, home: Settings) -> None:
    run_id, engine = add(instance, DagsterRunStatus.QUEUED), LocalEngine(home)
    (node,) = engine.nodes()

    engine.drain(node.name, by="anna")
    assert started(instance) == []

    engine.undrain(node.name)
    assert started(instance) == [run_id]


def test_the_limit_of_gpu_runs_follows_the_machine(instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    from winslow_dagster.engines import local_node
    from winslow_dagster.engines.engine import NodeGpu
    from winslow_dagster.engines.hardware import GpuReport

    gpus = tuple(NodeGpu(uuid=str(n), index=n, vendor="nvidia", name="H", memory_bytes=1) for n in range(3))
    monkeypatch.setattr(local_node, "gpus_here", lambda: GpuReport(gpus))
    for _ in range(8):
        add(instance, DagsterRunStatus.QUEUED, **{QUEUE_TAG: GPU_QUEUE})

    assert len(started(instance)) == QueueLimits.of(3).gpu_runs == 6
