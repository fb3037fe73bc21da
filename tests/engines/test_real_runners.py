"""The engine of one machine with the runners that ship, real containers and real processes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from engine_drivers import LocalDriver, a_task
from patience import until, until_ended
from starting_place import ROOT

from winslow_dagster.engines import local_node
from winslow_dagster.engines.local import LocalEngine
from winslow_dagster.engines.runner_records import MAX_FAILED_STARTS, RunnerRecord
from winslow_dagster.engines.spawn import ProcessIdentity
from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.settings import Settings
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import StageTask

SCRIPT = 'echo once >> "$WINSLOW_OUTPUT_DIR/ran"; while [ ! -e "$WINSLOW_OUTPUT_DIR/go" ]; do sleep 0.05; done'


class Real(LocalDriver):
    """A driver whose stage runs until the test lets it go on."""

    def __init__(self, settings: Settings, image: str | None) -> None:
        super().__init__(settings)
        self.engine = LocalEngine(settings)
        shell = ("sh", "-c", SCRIPT)
        self.task: StageTask = a_task(run_id=f"test-{uuid4().hex[:12]}").model_copy(
            update={
                "image": image,
                "mode": "docker" if image else "process",
                "command": shell[:1],
                "args": shell[1:],
                "store_url": settings.store_url,
                "stop_grace_period_s": 0.0,
            }
        )

    @property
    def output(self) -> Path:
        return self.directory(self.task).output

    def until_begun(self) -> None:
        until("the stage runs", (self.output / "ran").exists)

    def let_go(self) -> None:
        (self.output / "go").touch()

    def remains(self) -> list[str]:
        """Containers and processes of the attempt."""
        containers = []
        if self.task.mode == "docker":
            list_them = ["docker", "ps", "-aq", "--filter", f"label=winslow.task={self.task.task_id}"]
            containers = subprocess.run(list_them, capture_output=True, text=True, check=True).stdout.split()
        mark = f"WINSLOW_TASK_ID={self.task.task_id}".encode()
        return containers + [entry.name for entry in Path("/proc").iterdir() if mark in environment_of(entry)]


def environment_of(entry: Path) -> bytes:
    try:
        return (entry / "environ").read_bytes()
    except OSError:
        return b""


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "process"])
def real(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Real]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (Path(__file__).parent, ROOT / "tests", ROOT))))
    image = request.getfixturevalue("test_image") if request.param == "docker" else None
    real = Real(Settings.read({"WINSLOW_HOME": str(tmp_path)}), image)
    yield real
    if real.engine.status(real.task.task_id).served:
        real.engine.cancel(real.task.task_id, "the test has ended")
        real.outcome(real.task)
    real.kill_all()


def test_a_stage_goes_from_submit_to_its_stored_outputs(real: Real) -> None:
    real.engine.submit(real.task)
    real.until_begun()
    real.let_go()

    result = real.engine.wait(real.task.task_id, timeout_s=60).result

    assert result is not None
    assert (result.outcome, result.mode) == ("succeeded", real.task.mode)
    assert result.outputs is not None
    assert [file.path for file in result.outputs.files] == ["go", "ran"]
    assert real.remains() == []


def test_a_drained_node_takes_no_new_stage_and_what_runs_there_goes_on(real: Real) -> None:
    later = real.task.model_copy(update={"task_id": f"{real.task.run_id}.later.1", "stage": "later"})
    later = later.model_copy(update={"output_address": "projects/ulm-07/later/output"})
    (name,) = (node.name for node in real.engine.nodes())
    real.engine.submit(real.task)
    real.until_begun()
    real.engine.drain(name, by="anna", reason="new disks")
    real.engine.submit(later)
    until(
        "it says why it waits",
        lambda: "takes no new stage: it was drained by anna" in real.engine.explain(later.task_id),
    )
    assert "new disks" in real.engine.explain(later.task_id)
    real.let_go()
    assert real.outcome(real.task) == "succeeded"
    assert not (real.directory(later).output / "ran").exists()

    assert real.engine.undrain(name)

    until("the other stage runs", (real.directory(later).output / "ran").exists)
    (real.directory(later).output / "go").touch()
    assert real.outcome(later) == "succeeded"


def test_what_a_stage_uses_is_measured_while_it_runs_and_part_of_its_result(real: Real) -> None:
    real.engine.submit(real.task)
    real.until_begun()
    until("it is measured", lambda: (curve := real.engine.attempt_usage(real.task.task_id)) and any(curve.cpus))
    real.let_go()

    result = real.engine.wait(real.task.task_id, timeout_s=60).result

    assert result is not None
    assert result.usage is not None
    assert len(result.usage.at) == len(result.usage.cpus) == len(result.usage.memory_bytes) >= 1
    assert 0 < max(filter(None, result.usage.memory_bytes)) < 1 << 30


def test_a_killed_runner_is_followed_by_one_that_takes_the_stage_over(real: Real) -> None:
    real.engine.submit(real.task)
    real.until_begun()
    for _ in range(2):
        real.kill_runner(real.task)
        assert not real.engine.wait(real.task.task_id, timeout_s=60).runner_alive
        real.engine.submit(real.task)
    ran = real.output / "ran"
    assert ran.read_text() == "once\n"
    real.let_go()

    assert real.outcome(real.task) == "succeeded"
    assert real.remains() == []


def test_a_stage_whose_runner_is_dead_is_ended_by_cancelling_it(real: Real) -> None:
    real.engine.submit(real.task)
    real.until_begun()
    real.kill_runner(real.task)

    real.engine.cancel_run(real.task.run_id, "the run was cancelled")

    result = real.engine.wait(real.task.task_id, timeout_s=60).result
    assert result is not None
    assert (result.outcome, result.message) == ("cancelled", "the run was cancelled")
    assert real.remains() == []


def test_nothing_of_a_lost_stage_goes_on(real: Real) -> None:
    real.engine.submit(real.task)
    real.until_begun()
    real.kill_runner(real.task)
    assert real.remains() != []
    (real.directory(real.task).path / "die").touch()
    dying = LocalEngine(real.settings, runner="tiny_runner")

    for _ in range(MAX_FAILED_STARTS + 1):
        dying.submit(real.task)
        start = RunnerRecord.read(TaskDirectory(real.directory(real.task).path))
        assert start is not None
        until_ended(ProcessIdentity(start.pid, start.create_time))
    dying.submit(real.task)

    assert real.outcome(real.task) == "lost"
    assert real.remains() == []


@pytest.mark.docker
def test_images_are_reported_with_their_sizes_and_digests(tmp_path: Path, test_image: str) -> None:
    engine = LocalEngine(Settings.read({"WINSLOW_HOME": str(tmp_path)}))

    present, missing = engine.images([test_image, "winslow-test:none"])

    assert (present.name, present.present, missing.present) == (test_image, True, False)
    assert present.size_bytes is not None
    assert present.size_bytes > 100_000
    in_image = a_task().model_copy(update={"image": test_image})
    assert (engine.image_digest(in_image) or "").startswith("sha256:")
    assert engine.image_digest(in_image.model_copy(update={"image": "winslow-test:none"})) == ""


@pytest.mark.docker
def test_a_node_asks_docker_once_in_a_period(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = tmp_path / "docker.sock"
    daemon.symlink_to(os.environ.get("DOCKER_HOST", "").removeprefix("unix://") or "/var/run/docker.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{daemon}")
    monkeypatch.setattr(local_node, "CONTAINERS_KEPT_S", 1e9)
    engine = LocalEngine(Settings.read({"WINSLOW_HOME": str(tmp_path)}))

    found = engine.nodes()[0].containers
    assert found.startswith("Docker, API ")
    daemon.unlink()
    assert engine.nodes()[0].containers == found
    monkeypatch.setattr(local_node, "CONTAINERS_KEPT_S", 1e-9)  # each look is in a period of its own
    assert engine.nodes()[0].containers == ""


def test_a_node_without_docker_has_no_images_and_runs_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'docker.sock'}")
    engine = LocalEngine(Settings.read({"WINSLOW_HOME": str(tmp_path)}))

    with pytest.raises(ServiceUnavailable, match="no Docker daemon"):
        engine.images(["any"])
    assert engine.nodes()[0].containers == ""
    assert engine.image_digest(a_task().model_copy(update={"image": "any", "command": ("sh",)})) is None
