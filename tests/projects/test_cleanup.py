"""Cleanup on real tables, a real store and a real node: removed files are gone, and the tables agree."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from house import FILES, House

from winslow_dagster.errors import EngineError, NotFound, StoreError
from winslow_dagster.pipelines.model.pipeline import RetentionRule
from winslow_dagster.projects.retention.pins import Pins
from winslow_dagster.stages.task.model import StageResult


def test_a_plan_changes_nothing_and_lists_removals_with_reasons_and_sizes(house: House) -> None:
    house.run(1)
    house.run(2, succeeds=False)
    house.run(3)
    before = house.trees()
    plan = house.cleanup.plan()
    assert house.trees() == before
    assert [(each.task_id, each.kind, each.paths, each.size_bytes, each.reason) for each in plan.removals] == [
        ("run1.detect.1", "leftovers", None, plan.removals[0].size_bytes, "its outputs and log are in the store"),
        ("run1.detect.1", "outputs", ("frames/1.jpg", "vehicles.csv"), 105, "1 newer attempt"),
        ("run2.detect.1", "leftovers", None, plan.removals[2].size_bytes, "older than 0 days"),
        ("run2.detect.1", "log", None, 5, "older than 0 days"),
        ("run3.detect.1", "leftovers", None, plan.removals[4].size_bytes, "its outputs and log are in the store"),
    ]
    assert plan.size_bytes == sum(each.size_bytes for each in plan.removals)
    assert plan.removals[2].size_bytes > sum(map(len, FILES.values()))


def test_removed_files_are_gone_and_a_second_pass_has_nothing_to_do(house: House) -> None:
    first, failed, last = house.run(1), house.run(2, succeeds=False), house.run(3)
    cleanup = house.cleanup
    plan = cleanup.plan()
    assert cleanup.carry_out(plan) == plan.size_bytes
    kept = house.store.manifest(first.output_address)
    assert kept is not None
    assert [entry.path for entry in kept.files] == ["preview.png"]
    assert house.store.manifest(failed.log_address) is None
    assert house.store.manifest(last.output_address) is not None
    assert list(house.settings.node.tasks_dir.iterdir()) == []
    removed = {each.task_id: each.outputs_removed_at for each in house.records.attempts("ulm-07")}
    assert removed[first.task_id] is not None
    assert removed[failed.task_id] is removed[last.task_id] is None
    assert house.agrees()
    assert cleanup.plan().removals == ()
    assert cleanup.carry_out(plan) == 0


def test_a_pinned_attempt_stays_until_it_is_unpinned(house: House) -> None:
    first = house.run(1)
    house.run(2)
    cleanup, anna, ben = house.cleanup, house.retention("anna"), house.retention("ben")
    plan = cleanup.plan("ulm-07")
    pin = anna.pin("ulm-07", "detect", 1, reason="the paper's figure")
    assert (pin.task_id, pin.pinned_by, pin.reason) == (first.task_id, "anna", "the paper's figure")
    assert ben.pin("ulm-07", "detect", first.task_id) == pin
    assert ben.pins("ulm-07") == anna.pins() == (pin,)
    assert all(each.kind == "leftovers" for each in cleanup.plan().removals)
    cleanup.carry_out(plan)
    assert house.store.manifest(first.output_address) == house.records.manifests([first.task_id])[first.task_id]
    unpinned = anna.unpin("ulm-07", "detect", "1")
    assert (unpinned.attempt, unpinned.task_id) == (1, first.task_id)
    assert [each.kind for each in cleanup.plan().removals] == ["outputs"]
    with pytest.raises(NotFound, match="is not pinned"):
        anna.unpin("ulm-07", "detect", first.task_id)
    with pytest.raises(NotFound, match=r"no attempt 3; expected a number from 1 to 2, or a task id"):
        anna.pin("ulm-07", "detect", 3)


def test_a_project_with_a_run_that_began_since_the_plan_was_made_is_left_alone(house: House) -> None:
    first = house.run(1)
    house.run(2)
    plan = house.cleanup.plan()
    house.run(3, ends=False)
    assert house.cleanup.carry_out(plan) == 0
    assert house.store.manifest(first.output_address) is not None
    assert house.cleanup.plan().removals == ()


def test_outputs_that_another_project_reused_since_the_plan_was_made_stay(house: House) -> None:
    first = house.run(1)
    house.run(2)
    plan = house.cleanup.plan()
    taking = house.task(9, "ulm-08")
    house.records.attempt_started(taking, pipeline_digest=house.digest, reused_from=first.task_id)
    outputs = house.store.manifest(first.output_address)
    now = datetime.now(UTC)
    house.records.attempt_ended(
        taking.task_id,
        StageResult(
            task_id=taking.task_id,
            outcome="succeeded",
            message="",
            started_at=now,
            ended_at=now,
            node="n",
            outputs=outputs,
        ),
    )
    house.cleanup.carry_out(plan)
    assert house.store.manifest(first.output_address) == outputs


def test_a_projects_own_rules_come_first(house: House) -> None:
    house.run(1)
    house.run(2)
    Pins(house.records.database).set_rules("ulm-07", [RetentionRule()], "anna")
    assert [each.kind for each in house.cleanup.plan().removals] == ["leftovers", "leftovers"]
    Pins(house.records.database).set_rules("ulm-07", [], "anna")
    assert "outputs" in [each.kind for each in house.cleanup.plan().removals]


def test_usage_is_by_project_and_stage_and_shared_files_count_once(house: House, tmp_path: Path) -> None:
    house.run(1)
    house.run(2)
    house.run(3, project="ulm-08")
    video = tmp_path / "video.mp4"
    video.write_bytes(b"v" * 1000)
    stored = house.store.put_file(video, "projects/ulm-07/inputs/video/1")
    house.records.add_input("ulm-07", "video", stored, original_path=str(video), added_by="anna")
    usage = house.cleanup.usage()
    assert [
        (each.project, each.stage, each.attempts, each.outputs_bytes, each.logs_bytes) for each in usage.stages
    ] == [
        ("ulm-07", "detect", 2, 230, 10),
        ("ulm-08", "detect", 1, 115, 5),
    ]
    assert usage.inputs_bytes == {"ulm-07": 1000}
    assert [each.project for each in house.cleanup.usage("ulm-08").stages] == ["ulm-08"]
    house.cleanup.carry_out(house.cleanup.plan())
    after = house.cleanup.usage("ulm-07").stages[0]
    assert (after.outputs_bytes, after.leftovers_bytes) == (125, 0)


def test_failed_removals_are_left_to_the_next_pass_and_the_others_are_done(house: House) -> None:
    first = house.run(1)
    house.run(2, succeeds=False)
    house.run(3)
    cleanup = house.cleanup
    marker = next((house.settings.home / "store" / "manifests").rglob("run1.detect.1/output.manifest.json"))
    content = marker.read_bytes()
    marker.chmod(0o600)
    marker.write_bytes(b"damaged")
    with pytest.raises(StoreError, match="the manifest cannot be read"):
        cleanup.carry_out(cleanup.plan())
    assert list(house.settings.node.tasks_dir.iterdir()) == []
    marker.write_bytes(content)
    assert cleanup.carry_out(cleanup.plan()) == 105
    assert house.store.delete_files(first.output_address, ["vehicles.csv"]) == 0
    assert house.agrees()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a directory that cannot be deleted")
def test_leftovers_that_cannot_be_deleted_are_listed_and_tried_again_and_keep_nothing_else(house: House) -> None:
    stuck = house.run(1)
    house.run(2, succeeds=False)
    house.run(3, project="ulm-08")
    cleanup, tasks = house.cleanup, house.settings.node.tasks_dir
    held = tasks / stuck.task_id / "output"
    held.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", held], check=True)
    try:
        with pytest.raises(EngineError, match="cannot be deleted: Device or resource busy"):
            cleanup.carry_out(cleanup.plan())
        assert [path.name for path in tasks.iterdir()] == [f".forgotten-{stuck.task_id}"]
        assert [(each.task_id, each.kind) for each in cleanup.plan().removals] == [(stuck.task_id, "leftovers")]
        with pytest.raises(EngineError, match="cannot be deleted"):
            cleanup.carry_out(cleanup.plan())
    finally:
        subprocess.run(["umount", tasks / f".forgotten-{stuck.task_id}" / "output"], check=True)
    cleanup.carry_out(cleanup.plan())
    assert list(tasks.iterdir()) == []
    assert cleanup.plan().removals == ()


CARRY_OUT = """
import os, signal, sys
from winslow_dagster.engines.factory import open_engine
from winslow_dagster.projects.retention.cleanup import Cleanup
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.settings import Settings
from winslow_dagster.storage.factory import open_store

steps = int(sys.argv[1])

def count(event, arguments):
    global steps
    if event in {"os.rename", "os.remove", "os.rmdir", "os.chmod", "sqlite3.connect", "shutil.rmtree"}:
        steps -= 1
        if steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)

settings = Settings.read()
records = ProjectRecords.open(settings.database_url)
cleanup = Cleanup(records, open_store(settings.store_url), settings, open_engine(settings))
plan = cleanup.plan()
sys.addaudithook(count)
cleanup.carry_out(plan)
"""


def test_killed_at_any_step_the_next_pass_leaves_tables_and_store_in_agreement(house: House) -> None:
    for run in range(1, 4):
        house.run(run)
    house.run(4, succeeds=False)
    house.run(5)
    environment = {
        **os.environ,
        "WINSLOW_HOME": str(house.settings.home),
        "WINSLOW_DATABASE_URL": house.settings.database_url,
        "WINSLOW_PIPELINES_DIR": str(house.settings.pipelines_dir),
    }
    killed = 0
    for steps in (1, 3, 8, 5, 2, 13, 4):
        ended = subprocess.run([sys.executable, "-c", CARRY_OUT, str(steps)], env=environment, check=False)
        assert ended.returncode in {0, -signal.SIGKILL}
        killed += ended.returncode != 0
    assert killed >= 3
    cleanup = house.cleanup
    cleanup.carry_out(cleanup.plan())
    assert house.agrees()
    assert cleanup.plan().removals == ()
    assert [path for path in house.settings.node.tasks_dir.iterdir() if not path.name.startswith(".")] == []
    assert cleanup.usage("ulm-07").stages[0].outputs_bytes == 115 + 3 * 10
