"""Machines, links and daemons are lost in the middle of a stage: it goes on, or runs elsewhere, and counts once."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from engine_drivers import a_task
from patience import until
from slurm_cluster import SlurmCluster
from slurm_installation import SlurmInstallation, slurm_installation, write_facts

from winslow_dagster.engines.slurm.ledger import Ledger
from winslow_dagster.pipelines.model.stage_rules import Gpu
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import NodeGpu, StageResult, StageTask

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

PROCESS = 'hostname >>"{marks}"; until [ -e "{go}" ]; do sleep 0.1; done; echo done >"$WINSLOW_OUTPUT_DIR/ran"'
CONTAINER = 'until [ -e "$WINSLOW_OUTPUT_DIR/go" ]; do sleep 1; done'


@dataclass
class Stage:
    """A stage that runs until it is let go. Whoever follows it submits it again, as the monitor of an attempt does."""

    installation: SlurmInstallation
    task: StageTask
    marks: Path
    go: Path
    over: threading.Event
    """Set at the end of the test, after which nobody submits it again."""
    results: list[StageResult] = field(default_factory=list)

    def begin(self) -> None:
        self.installation.engine.submit(self.task)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def nodes(self) -> list[str]:
        """Where it has begun, in order."""
        return self.marks.read_text().split() if self.marks.exists() else []

    @property
    def ledger(self) -> Ledger:
        return Ledger.read(TaskDirectory.of(self.installation.settings.node.tasks_dir, self.task.task_id))

    @property
    def job(self) -> str:
        last = self.ledger.last
        assert last is not None
        return last.job_id

    @property
    def is_saved(self) -> bool:
        """Whether slurmctld knows its job after a crash: an agent sees to it that it does, within about a second."""
        project, node = self.task.project, self.ledger.node
        return self.installation.cluster.has_saved(f"{project}/{self.task.stage}, attempt 1, on {node}")

    def result(self) -> StageResult:
        self._thread.join()
        (result,) = self.results
        return result

    def processes(self) -> list[str]:
        mark = f"WINSLOW_TASK_ID={self.task.task_id}".encode()
        return [entry.name for entry in Path("/proc").iterdir() if mark in environment_of(entry)]

    def containers(self) -> list[str]:
        words = ("docker", "ps", "-a", "--format", "{{.Names}}", "--filter", f"name={self.task.run_id}")
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()

    def _follow(self) -> None:
        engine = self.installation.engine
        while (state := engine.wait(self.task.task_id, 1.0)).result is None:
            if self.over.is_set():
                return
            if not state.served:
                engine.submit(self.task)
        self.results.append(state.result)


def environment_of(entry: Path) -> bytes:
    try:
        return (entry / "environ").read_bytes()
    except OSError:
        return b""


OVER = threading.Event()


@pytest.fixture
def installation(slurm_cluster: SlurmCluster, tmp_path: Path) -> Iterator[SlurmInstallation]:
    OVER.clear()
    with slurm_installation(slurm_cluster, tmp_path) as installation:
        yield installation
        OVER.set()
        slurm_cluster.restore()


def a_stage(installation: SlurmInstallation, **fields: object) -> Stage:
    run_id = f"test-{uuid4().hex[:12]}"
    place = installation.settings.home / run_id
    place.mkdir()
    script = PROCESS.format(marks=place / "marks", go=place / "go")
    task = a_task(run_id=run_id).model_copy(
        update={
            "project": run_id,  # Slurm's saved state has the stages of earlier tests, too.
            "mode": "process",
            "command": ("sh",),
            "args": ("-c", script),
            "store_url": installation.settings.store_url,
            "stop_grace_period_s": 0.0,
            **fields,
        }
    )
    return Stage(installation, task, place / "marks", place / "go", OVER)


def test_a_stage_whose_node_is_lost_runs_on_another_one(installation: SlurmInstallation) -> None:
    cluster, stage = installation.cluster, a_stage(installation)
    stage.begin()
    until("it runs", stage.nodes)
    (lost,) = stage.nodes()

    cluster.power_off(lost)

    until("it runs elsewhere", lambda: len(stage.nodes()) > 1)
    stage.go.touch()
    result = stage.result()
    assert result.outcome == "succeeded"
    assert result.node != lost
    assert stage.nodes() == [lost, result.node]
    assert stage.ledger.serving == 2


def test_a_node_that_comes_back_stops_what_runs_elsewhere_by_now(installation: SlurmInstallation) -> None:
    """Cut off until it counts as down, and connected again once the stage runs on another node."""
    cluster, stage = installation.cluster, a_stage(installation)
    stage.begin()
    until("it runs", stage.nodes)
    (lost,) = stage.nodes()

    cluster.cut(lost)
    until("it runs elsewhere", lambda: len(stage.nodes()) > 1)
    assert len(stage.processes()) >= 2  # The old one knows nothing of the new one.
    old = installation.serving(stage.task.task_id, 1)
    cluster.heal(lost)

    until("the old one has ended", lambda: not old.path.exists())
    stage.go.touch()
    result = stage.result()
    assert (result.outcome, result.node) == ("succeeded", stage.nodes()[1])
    until("nothing of it is left", lambda: not stage.processes())


def test_a_link_that_heals_in_the_moment_of_the_loss_does_no_harm(installation: SlurmInstallation) -> None:
    cluster, stage = installation.cluster, a_stage(installation)
    stage.begin()
    until("it runs", stage.nodes)
    (lost,) = stage.nodes()

    cluster.cut(lost)
    until("it counts as down", lambda: cluster.states()[lost].startswith("down"))
    cluster.heal(lost)

    until("it runs anew", lambda: len(stage.nodes()) > 1)
    until("the node works again", lambda: cluster.states()[lost] in {"idle", "mixed"})
    stage.go.touch()
    result = stage.result()
    assert result.outcome == "succeeded"
    assert stage.ledger.serving == 2
    until("nothing of it is left", lambda: not stage.processes())


def test_a_short_cut_costs_nothing(installation: SlurmInstallation) -> None:
    cluster, stage = installation.cluster, a_stage(installation)
    stage.begin()
    until("it runs", stage.nodes)
    (node,) = stage.nodes()

    cluster.cut(node)
    stage.go.touch()  # It ends while nobody hears it.
    until("it has ended", lambda: not any(map(is_sleeping, stage.processes())))
    cluster.heal(node)

    assert (stage.result().outcome, stage.nodes()) == ("succeeded", [node])


def is_sleeping(pid: str) -> bool:
    """Whether the process is the stage's own program."""
    try:
        return b"hostname" in (Path("/proc") / pid / "cmdline").read_bytes()
    except OSError:
        return False


def test_a_job_that_backfill_has_started_outlives_slurmctld(installation: SlurmInstallation) -> None:
    """Slurm itself loses such a job: its saved state does not have it yet."""
    cluster = installation.cluster
    gpus = a_stage(installation, gpu=Gpu(vendor="nvidia", count=2), stage="first")
    behind = a_stage(installation, gpu=Gpu(vendor="nvidia", count=2), priority=9, stage="second")
    small = a_stage(installation)
    gpus.begin()
    until("it runs", gpus.nodes)
    behind.begin()
    until("it waits", lambda: behind.ledger.last is not None and cluster.jobs().get(behind.job, ("",))[0] == "PENDING")
    small.begin()
    until("it runs", small.nodes)
    until("its agent's first act has had an effect", lambda: small.is_saved)

    cluster.kill_slurmctld()
    cluster.start_slurmctld()

    for stage in (small, gpus, behind):
        stage.go.touch()
        assert stage.result().outcome == "succeeded"
        assert len(stage.nodes()) == stage.ledger.serving == 1


def test_stages_outlive_the_death_of_every_daemon(installation: SlurmInstallation) -> None:
    """Of slurmd, slurmctld and the web server, one after the other and all at once."""
    cluster, stage = installation.cluster, a_stage(installation)
    stage.begin()
    until("it runs", stage.nodes)
    (node,) = stage.nodes()
    until("its agent's first act has had an effect", lambda: stage.is_saved)

    cluster.kill_slurmd(node)
    cluster.start_slurmd(node)
    installation.server.stop()
    installation.server.start()
    assert stage.nodes() == [node]
    cluster.kill_slurmd(node)
    installation.server.stop()
    cluster.kill_slurmctld()
    stage.go.touch()
    cluster.start_slurmctld()
    cluster.start_slurmd(node)
    installation.server.start()

    # All at once, Slurm may take its job for lost. Then it runs again, and there is still one result.
    assert stage.result().outcome == "succeeded"
    until("nothing of it is left", lambda: not stage.processes())


@pytest.mark.docker
def test_a_container_ends_with_its_node_and_with_what_replaces_it(
    installation: SlurmInstallation, test_image: str
) -> None:
    """Slurmd stays dead, so that its epilog runs only when it is back: the agent itself ends what was replaced."""
    cluster = installation.cluster
    stage = a_stage(installation, mode="docker", image=test_image, command=(), args=("sh", "-c", CONTAINER))
    stage.begin()
    until("its container runs", stage.containers)
    (first,) = stage.containers()
    lost = stage.ledger.node

    cluster.kill_slurmd(lost)

    until("it runs elsewhere, and only there", lambda: len(found := stage.containers()) == 1 and found != [first])
    assert stage.ledger.node != lost
    cluster.start_slurmd(lost)
    assert exec_in(stage.containers()[0], "sh", "-c", "echo >/winslow/output/go") == 0
    assert (stage.result().outcome, stage.result().node) == ("succeeded", stage.ledger.node)
    until("no container is left", lambda: not stage.containers())
    until("the node works again", lambda: cluster.states()[lost] == "idle")


def exec_in(container: str, *words: str) -> int:
    return subprocess.run(["docker", "exec", container, *words], check=False).returncode


def test_a_stage_waits_for_a_machine_that_is_yet_to_join(installation: SlurmInstallation) -> None:
    cluster = installation.cluster
    stage = a_stage(installation, gpu=Gpu(vendor="intel", count=1))
    stage.begin()
    until("it says so", lambda: "tried again as nodes join" in installation.engine.explain(stage.task.task_id))
    gpu = NodeGpu(uuid="intel-0", index=0, vendor="intel", name="I1", memory_bytes=16 << 30)
    write_facts(installation.settings, "dyn1", (gpu,))

    cluster.join("dyn1", gpus="gpu:intel:1")

    until("it runs there", lambda: stage.nodes() == ["dyn1"])
    stage.go.touch()
    assert (stage.result().outcome, stage.result().node) == ("succeeded", "dyn1")
