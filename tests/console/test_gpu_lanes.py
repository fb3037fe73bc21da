"""Who held which GPU, on the page Machines of an installation whose machine has some."""

from __future__ import annotations

import html
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from in_process import Server

from winslow_dagster.actions import Action
from winslow_dagster.console.app import create_app
from winslow_dagster.console.gpu_lanes import WIDTH, lanes
from winslow_dagster.engines.engine import Node, NodeGpu
from winslow_dagster.engines.memory import InMemoryEngine
from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.gpu_lanes import GpuHold
from winslow_dagster.projects.installation import Installation
from winslow_dagster.services import Services
from winslow_dagster.settings import Settings
from winslow_dagster.stages.task.model import StageResult, StageStatus, StageTask

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOSTILE = "<img src=x onerror=alert(1)>"
GPUS = tuple(NodeGpu(uuid=f"GPU-{n}", index=n, vendor="nvidia", name=HOSTILE, memory_bytes=80 << 30) for n in range(2))
NODE = Node(name="ulm-1", cpus=8, memory_bytes=64 << 30, gpus=GPUS)


def hold(stage: str, since: datetime, until: datetime | None, gpu: str = "GPU-0") -> GpuHold:
    outcome = None if until is None else "succeeded"
    return GpuHold(
        gpu=gpu, node="ulm-1", project="ulm", pipeline="p", stage=stage, task_id=stage, since=since, until=until,
        outcome=outcome,
    )  # fmt: skip


def test_a_bar_stands_where_its_attempt_held_the_gpu() -> None:
    holds = [
        hold("before", NOW - 30 * HOUR, NOW - 12 * HOUR),
        hold("now", NOW - 6 * HOUR, None),
        hold("elsewhere", NOW - 2 * HOUR, NOW - HOUR, "GPU-gone"),
    ]

    first, second, gone = lanes([NODE], holds, NOW, timedelta(days=1))

    assert [(bar.x, bar.width, bar.running) for bar in first.bars] == [
        (0.0, WIDTH / 2, False),
        (WIDTH * 3 / 4, WIDTH / 4, True),
    ]
    assert first.busy_percent == 75
    assert first.holder is not None
    assert first.holder.label == "ulm, now: running, 6 h"
    assert (second.bars, second.busy_percent, second.holder) == ((), 0, None)
    assert (gone.gpu, gone.node) == ("GPU-gone", "ulm-1")


def test_two_nodes_whose_gpus_have_the_same_id_have_lanes_of_their_own() -> None:
    here, there = NODE, NODE.model_copy(update={"name": "ulm-2"})

    shown = lanes([here, there], [hold("now", NOW - HOUR, None)], NOW, timedelta(days=1))

    held = [(lane.node, lane.gpu) for lane in shown if lane.holder]
    assert (len(shown), held) == (4, [("ulm-1", "GPU-0")])


def task(stage: str) -> StageTask:
    return StageTask(
        task_id=f"run.{stage}.1",
        project="ulm",
        pipeline="p",
        stage=stage,
        run_id="run",
        output_address=f"projects/ulm/{stage}",
        log_address=f"projects/ulm/{stage}-log",
        store_url="memory://",
        log_rules=LogRules(),
    )


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """Its machine has two GPUs: one was held an hour ago, and the other one is."""
    (tmp_path / "pipelines").mkdir()
    settings = Settings.read({"WINSLOW_HOME": str(tmp_path), "WINSLOW_PIPELINES_DIR": str(tmp_path / "pipelines")})
    engine = InMemoryEngine((NODE,))
    installation = Installation(settings, Services(settings), Actor("root", "cli"), engine=engine)
    records, now = installation.context.records, datetime.now(UTC)
    records.create_project("ulm", pipeline="p", pipeline_digest="0" * 64, env={}, created_by="anna")
    for stage in ("ended", "running"):
        records.attempt_started(task(stage))
        engine.submit(task(stage))
    ended = StageResult(
        task_id="run.ended.1",
        outcome="failed",
        message="no",
        started_at=now - 2 * HOUR,
        ended_at=now - HOUR,
        node="ulm-1",
        gpus=("GPU-0",),
    )
    records.attempt_ended("run.ended.1", ended)
    engine.report(
        StageStatus(
            task_id="run.running.1",
            phase="running",
            node="ulm-1",
            updated_at=now,
            started_at=now - HOUR,
            gpus=("GPU-1",),
        )
    )
    installation.accounts.add("anna", role="admin")
    return Server(create_app(installation), installation)


def test_a_drained_machine_is_among_what_doctor_finds(server: Server) -> None:
    server.installation.machines.drain("ulm-1", "new disks")

    found = next(each for each in server.installation.diagnose() if each.name == "machine")

    assert found.state == "warn"
    assert found.detail.startswith("ulm-1 takes no new stage: it was drained by root on ")
    assert found.detail.endswith(" (new disks)")
    assert found.remedy == Action("resume_node", {"node": "ulm-1"})


def test_the_page_names_who_holds_each_gpu_and_who_did(server: Server) -> None:
    first, second = server.installation.machines.gpu_holds("24h")
    assert (first.gpu, first.stage, first.outcome) == ("GPU-0", "ended", "failed")
    assert (second.gpu, second.stage, second.until) == ("GPU-1", "running", None)
    assert [each.stage for each in server.installation.machines.gpu_holds("1h")] == ["running"]

    text = server.get("/machines?span=24h", cookies=server.cookies("anna")).text

    assert 'href="/projects/ulm/stages/ended/attempts?pipeline=p"' in text
    assert 'data-outcome="failed"' in text
    assert "ulm, running" in text
    assert HOSTILE not in text
    assert html.escape(HOSTILE) in text
