"""The daemon starts what our rule says, and the limits follow the machines."""

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
from winslow_dagster.engines.engine import Node, NodeGpu
from winslow_dagster.engines.local import LocalEngine
from winslow_dagster.engines.memory import InMemoryEngine
from winslow_dagster.errors import EngineError
from winslow_dagster.jobs.run_queue_daemon import RunQueueDaemon, daemons_of
from winslow_dagster.jobs.run_tags import READ_AT_ONCE, tags_of_runs
from winslow_dagster.projects.dagster_api.client import PROJECT_TAG
from winslow_dagster.projects.database.queue_entries import QueueEntries
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.queue_rules import (
    GPU_QUEUE,
    GPU_VENDOR_TAG,
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


def started(instance: DagsterInstance, daemon_type: type[QueuedRunCoordinatorDaemon] = RunQueueDaemon) -> list[str]:
    """The runs that the daemon would start now."""
    daemon = daemon_type(interval_seconds=1)
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


@pytest.mark.parametrize("daemon_type", [RunQueueDaemon, QueuedRunCoordinatorDaemon])
def test_the_daemon_starts_what_the_rule_says_and_so_does_dagsters_own_where_nobody_takes_turns(
    instance: DagsterInstance, daemon_type: type[QueuedRunCoordinatorDaemon]
) -> None:
    for seed in range(20):
        random = Random(seed)
        instance.run_storage.wipe()
        active = [some_tags(random) for _ in range(random.choice([0, 3, 17, 21]))]
        waiting = [some_tags(random) for _ in range(random.randint(1, 12))]
        in_progress = [QueueItem.of_tags(add(instance, DagsterRunStatus.STARTED, **tags), tags) for tags in active]
        queued = [QueueItem.of_tags(add(instance, DagsterRunStatus.QUEUED, **tags), tags) for tags in waiting]

        wanted = [item.run_id for item in starting(queued, places_of(QueueLimits.of(()), in_progress))]

        assert started(instance, daemon_type) == wanted, seed


def test_the_tags_of_many_runs_are_those_that_dagster_shows(instance: DagsterInstance) -> None:
    """Also what was added or changed later. The tables in which they are read are Dagster's own."""
    run_ids = [add(instance, DagsterRunStatus.QUEUED, **some_tags(Random(seed))) for seed in range(3 * READ_AT_ONCE)]
    instance.add_run_tags(run_ids[7], {PRIORITY_TAG: "9", "winslow/new": "later"})
    unknown = str(uuid4())

    found = tags_of_runs(instance, [*run_ids, unknown])

    assert found.pop(unknown) == {}
    label = {".dagster/repository": ORIGIN.repository_origin.get_label()}
    shown = {run.run_id: {**run.tags, **label} for run in instance.get_runs() if run.run_id in run_ids}
    assert found == shown
    assert found[run_ids[7]][PRIORITY_TAG] == "9"


def test_the_services_daemon_chooses_by_our_rule(instance: DagsterInstance) -> None:
    names = [daemon.daemon_type() for daemon in daemons_of(instance)]

    assert set(names) == set(instance.get_required_daemon_types())
    (queue,) = [each for each in daemons_of(instance) if isinstance(each, QueuedRunCoordinatorDaemon)]
    assert isinstance(queue, RunQueueDaemon)
    assert queue.interval_seconds == SHIPPED["run_coordinator"]["config"]["dequeue_interval_seconds"]


def project(home: Settings, name: str, owner: str) -> str:
    records = ProjectRecords.open(home.database_url)
    records.create_project(name, pipeline="p", pipeline_digest="0" * 64, env={}, created_by=owner)
    records.close()
    return name


def test_two_hundred_videos_of_one_owner_do_not_leave_the_others_behind(
    instance: DagsterInstance, home: Settings
) -> None:
    """Within a priority, the owner with the fewest runs in progress goes first; then whoever was queued first."""
    videos = [project(home, f"video-{number}", "anna") for number in range(200)]
    ulm, bonn = project(home, "ulm", "bert"), project(home, "bonn", "carla")
    order = [add(instance, DagsterRunStatus.QUEUED, **{PROJECT_TAG: name, QUEUE_TAG: "cpu"}) for name in videos]
    late = [add(instance, DagsterRunStatus.QUEUED, **{PROJECT_TAG: name, QUEUE_TAG: "cpu"}) for name in (ulm, bonn)]

    # Each owner has a turn, then the two others have nothing left to start.
    assert started(instance) == [order[0], *late, *order[1:18]]


def test_a_place_that_becomes_free_goes_to_the_owner_with_the_fewest_runs_in_progress(
    instance: DagsterInstance, home: Settings
) -> None:
    for number in range(20):
        tags = {PROJECT_TAG: project(home, f"video-{number}", "anna"), QUEUE_TAG: "cpu"}
        add(instance, DagsterRunStatus.STARTED if number < 19 else DagsterRunStatus.QUEUED, **tags)
    bert = add(instance, DagsterRunStatus.QUEUED, **{PROJECT_TAG: project(home, "ulm", "bert"), QUEUE_TAG: "cpu"})

    assert started(instance) == [bert]


@pytest.mark.parametrize(
    ("variable", "value", "first"),
    [
        ("SHARE_BY", "owner", "ulm"),
        ("SHARE_BY", "project", "second"),
        ("SHARE_BY", "none", "video"),
        ("WEIGHTS", "anna=100", "video"),
    ],
)
def test_the_settings_say_who_takes_turns_and_with_which_weight(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, first: str
) -> None:
    monkeypatch.setenv(f"WINSLOW_QUEUE_{variable}", value)
    home = Settings.read()
    for name, owner in (("video", "anna"), ("second", "anna"), ("ulm", "bert")):
        project(home, name, owner)
    for name in ("video",) * 18 + ("ulm",):
        add(instance, DagsterRunStatus.STARTED, **{PROJECT_TAG: name, QUEUE_TAG: "cpu"})
    waiting = {
        name: add(instance, DagsterRunStatus.QUEUED, **{PROJECT_TAG: name, QUEUE_TAG: "cpu"})
        for name in ("video", "second", "ulm")
    }

    assert started(instance) == [waiting[first]]


def test_a_higher_priority_goes_before_any_share(instance: DagsterInstance, home: Settings) -> None:
    tags = {PROJECT_TAG: project(home, "video", "anna"), QUEUE_TAG: "cpu", PRIORITY_TAG: "1"}
    for _ in range(19):
        add(instance, DagsterRunStatus.STARTED, **tags)
    add(instance, DagsterRunStatus.QUEUED, **{PROJECT_TAG: project(home, "ulm", "bert"), QUEUE_TAG: "cpu"})
    urgent = add(instance, DagsterRunStatus.QUEUED, **tags)

    assert started(instance) == [urgent]


def test_whoever_fills_the_processors_still_has_a_turn_on_the_gpus(instance: DagsterInstance, home: Settings) -> None:
    video, ulm = project(home, "video", "anna"), project(home, "ulm", "bert")
    for _ in range(10):
        add(instance, DagsterRunStatus.STARTED, **{PROJECT_TAG: video, QUEUE_TAG: "cpu"})
    add(instance, DagsterRunStatus.STARTED, **{PROJECT_TAG: ulm, QUEUE_TAG: GPU_QUEUE})
    add(instance, DagsterRunStatus.QUEUED, **{PROJECT_TAG: ulm, QUEUE_TAG: GPU_QUEUE})
    anna = add(instance, DagsterRunStatus.QUEUED, **{PROJECT_TAG: video, QUEUE_TAG: GPU_QUEUE})

    assert started(instance) == [anna]


def test_runs_that_wait_for_gpus_keep_none_that_needs_none(instance: DagsterInstance, home: Settings) -> None:
    name = project(home, "video", "anna")
    for _ in range(50):
        add(instance, DagsterRunStatus.QUEUED, **{PROJECT_TAG: name, QUEUE_TAG: GPU_QUEUE})
    cpu = add(instance, DagsterRunStatus.QUEUED, **{PROJECT_TAG: name, QUEUE_TAG: "cpu"})

    found = started(instance)

    assert found[-1] == cpu
    assert len(found) == QueueLimits.of(()).gpu_runs + 1


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
    from winslow_dagster.engines.hardware import GpuReport

    monkeypatch.setattr(local_node, "gpus_here", lambda: GpuReport(gpus(3)))
    for _ in range(8):
        add(instance, DagsterRunStatus.QUEUED, **{QUEUE_TAG: GPU_QUEUE})

    assert len(started(instance)) == QueueLimits.of(3 * ["nvidia"]).gpu_runs == 6


def test_runs_for_a_rare_gpu_leave_the_places_of_the_others(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from winslow_dagster.engines import local_node
    from winslow_dagster.engines.hardware import GpuReport

    amd = gpus(1)[0].model_copy(update={"uuid": "amd", "vendor": "amd"})
    monkeypatch.setattr(local_node, "gpus_here", lambda: GpuReport((*gpus(2), amd)))
    rare, common, any_will_do = (
        [add(instance, DagsterRunStatus.QUEUED, **{QUEUE_TAG: GPU_QUEUE} | vendor) for _ in range(4)]
        for vendor in ({GPU_VENDOR_TAG: "amd"}, {GPU_VENDOR_TAG: "nvidia"}, {})
    )

    assert started(instance) == started(instance, QueuedRunCoordinatorDaemon) == [*rare[:2], *common]
    for run_id in common[:3]:
        instance.report_run_canceled(instance.get_run_by_id(run_id))  # type: ignore[arg-type]  # it is there
    assert started(instance) == [*rare[:2], common[3], *any_will_do[:3]]


def gpus(count: int, node: str = "n") -> tuple[NodeGpu, ...]:
    return tuple(NodeGpu(uuid=f"{node}-{n}", index=n, vendor="nvidia", name="H", memory_bytes=1) for n in range(count))


def machine(name: str, count: int) -> Node:
    return Node(name=name, cpus=8, memory_bytes=1 << 30, gpus=gpus(count, name))


def test_the_limits_follow_machines_that_join_leave_are_drained_or_lose_a_gpu(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = InMemoryEngine((machine("a", 2),))
    monkeypatch.setattr("winslow_dagster.jobs.run_coordinator.open_engine", lambda _settings: engine)
    for _ in range(40):
        add(instance, DagsterRunStatus.QUEUED, **{QUEUE_TAG: GPU_QUEUE})
    assert len(started(instance)) == 4

    engine.change_nodes((machine("a", 2), machine("b", 4)))
    assert len(started(instance)) == 12, "b has joined"

    engine.drain("b", by="anna")
    assert len(started(instance)) == 4, "b takes no new stage"

    engine.undrain("b")
    engine.change_nodes((machine("a", 1), machine("b", 4)))
    assert len(started(instance)) == 10, "a GPU fell off"

    engine.change_nodes((machine("b", 4),))
    assert len(started(instance)) == 8, "a has left"


class Silent(InMemoryEngine):
    """Machines that cannot be asked for a while."""

    silent = False

    def usable_gpus(self) -> tuple[NodeGpu, ...]:
        if self.silent:
            raise EngineError("nobody answers")
        return super().usable_gpus()


def test_the_limits_stay_while_the_machines_cannot_be_asked(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Silent((machine("a", 3),))
    monkeypatch.setattr("winslow_dagster.jobs.run_coordinator.open_engine", lambda _settings: engine)
    for _ in range(10):
        add(instance, DagsterRunStatus.QUEUED, **{QUEUE_TAG: GPU_QUEUE})
    assert len(started(instance)) == 6

    engine.silent = True

    assert len(started(instance)) == 6
