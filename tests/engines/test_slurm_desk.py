"""What agents say at the desk: only the newest serving is listened to, and the mirror has what the node has."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from engine_drivers import a_task
from patience import until

from winslow_dagster.engines.directory_engine import CachedState
from winslow_dagster.engines.engine import GpuUsage, NodeUsage
from winslow_dagster.engines.local_node import usage_without_gpus
from winslow_dagster.engines.node_usage import GpuProcess
from winslow_dagster.engines.slurm import live_files
from winslow_dagster.engines.slurm.agent_keys import AgentKeys
from winslow_dagster.engines.slurm.cluster_nodes import COLUMNS, parsed
from winslow_dagster.engines.slurm.desk import REPORTS_PER_S, Desk, note_follower
from winslow_dagster.engines.slurm.engine import SILENT_S, said_by_agent
from winslow_dagster.engines.slurm.job_environment import JobFacts
from winslow_dagster.engines.slurm.ledger import Ledger, Submission
from winslow_dagster.engines.slurm.live_files import MOST_NAMED, MOST_WANTED, LiveFiles
from winslow_dagster.engines.slurm.messages import Hello, Order, Reply, Report
from winslow_dagster.engines.slurm.node_reports import SAMPLE_HOLDS_S, NodeReports
from winslow_dagster.engines.slurm.reporting import Reporter
from winslow_dagster.errors import EngineError, Fenced, NotFound, NotLoggedIn, UsageError
from winslow_dagster.pipelines.model.stage_rules import Gpu
from winslow_dagster.pipelines.variables import SecretReference
from winslow_dagster.settings import Settings
from winslow_dagster.stages.log import LogReader, LogWriter
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import NodeGpu, StageResult, StageStatus, StageTask
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.secrets import SecretStore

TASK = a_task()


class ControlPlane:
    """A desk with one task, whose submissions the test makes."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings.read({"WINSLOW_HOME": str(home)})
        self.nodes = NodeReports(home / "nodes")
        self.keys = AgentKeys(home)
        self.drained: list[tuple[str, str, str]] = []
        self.desk = Desk(self.settings, self.keys, self.nodes, lambda *drain: self.drained.append(drain))
        self.directory = TaskDirectory.of(self.settings.node.tasks_dir, TASK.task_id)
        self.submission = 0

    def submit(self, task: StageTask = TASK) -> None:
        self.submission += 1
        directory = TaskDirectory.of(self.settings.node.tasks_dir, task.task_id)
        directory.write_task(task)
        last = Submission(number=self.submission, at_s=time.time(), job_id="7")
        Ledger.read(directory).changed(numbers=self.submission, last=last).write(directory)

    def hello(self, submission: int = 0, kept: tuple[str, ...] = (), task: StageTask = TASK) -> Order:
        gpus = (NodeGpu(uuid="GPU-1", index=0, vendor="nvidia", name="N1", memory_bytes=1 << 30),)
        message = Hello(job_id="7", node="s1", gpus=gpus, kept=kept).model_dump_json().encode()
        answer = self.desk.answer(task.task_id, submission or self.submission, "hello", message)
        return Order.model_validate_json(answer)

    def report(self, report: Report, submission: int = 0) -> Reply:
        message = report.model_dump_json().encode()
        return Reply.model_validate_json(
            self.desk.answer(TASK.task_id, submission or self.submission, "report", message)
        )


@pytest.fixture
def plane(tmp_path: Path) -> ControlPlane:
    plane = ControlPlane(tmp_path / "home")
    plane.submit()
    return plane


class Wire:
    """Carries an agent's messages to the desk, unless the test has cut it."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.cut = False
        self.loses_answers = False

    def say(self, verb: str, message: str) -> bytes:
        if self.cut:
            raise EngineError("the wire is cut")
        answer = self.plane.desk.answer(TASK.task_id, self.plane.submission, verb, message.encode())
        if self.loses_answers:
            raise EngineError("the answer was lost")
        return answer


def a_result(outcome: str = "succeeded", message: str = "") -> StageResult:
    now = datetime.now(UTC)
    return StageResult.model_validate(
        {
            "task_id": TASK.task_id,
            "outcome": outcome,
            "message": message,
            "started_at": now,
            "ended_at": now,
            "node": "s1",
        }
    )


def a_status(reason: str) -> StageStatus:
    return StageStatus(task_id=TASK.task_id, phase="running", reason=reason, node="s1", updated_at=datetime.now(UTC))


def test_each_first_call_begins_a_serving_with_places_of_its_own(plane: ControlPlane) -> None:
    first, second = plane.hello(), plane.hello()

    assert (first.serving, second.serving) == (1, 2)
    assert first.task.task_id == f"{TASK.task_id}.s1"
    assert first.task.output_address == f"{TASK.output_address}/s1"
    assert second.task.log_address == f"{TASK.log_address}/s2"
    assert plane.nodes.gpus("s1")[0].uuid == "GPU-1"


def test_only_the_newest_serving_is_listened_to(plane: ControlPlane) -> None:
    plane.hello()
    plane.report(Report(serving=1, status=a_status("first")))
    plane.hello()

    with pytest.raises(Fenced, match=r"a newer serving \(2\) is at work"):
        plane.report(Report(serving=1, result=a_result()))

    assert plane.directory.result() is None
    plane.report(Report(serving=2, result=a_result(message="of the second")))
    result = plane.directory.result()
    assert result is not None
    assert result.message == "of the second"


def test_an_agent_whose_job_was_replaced_gets_no_order(plane: ControlPlane) -> None:
    plane.submit()

    with pytest.raises(Fenced):
        plane.hello(submission=1)

    assert plane.hello(submission=2).serving == 1


def test_a_result_that_comes_twice_is_taken_once(plane: ControlPlane) -> None:
    plane.hello()
    plane.report(Report(serving=1, result=a_result(message="the first")))

    plane.report(Report(serving=1, result=a_result(message="again")))

    result = plane.directory.result()
    assert result is not None
    assert result.message == "the first"
    with pytest.raises(Fenced, match="the task has ended"):
        plane.report(Report(serving=1, status=a_status("late")))


def test_a_node_with_another_version_is_drained_and_serves_nothing(plane: ControlPlane) -> None:
    older = b'{"version": "0.0.1", "node": "s9", "shape": "unknown"}'

    with pytest.raises(Fenced, match=r"s9 was drained: it has version 0\.0\.1 of Winslow"):
        plane.desk.answer(TASK.task_id, 1, "hello", older)

    ((node, by, reason),) = plane.drained
    assert (node, by) == ("s9", "winslow")
    assert "install that there" in reason
    assert Ledger.read(plane.directory).serving == 0


def test_what_is_in_use_on_a_node_becomes_a_curve(plane: ControlPlane) -> None:
    plane.hello()
    usage = NodeUsage(
        name="s1",
        cpu_percent=12.5,
        memory_used_bytes=3 << 30,
        memory_total_bytes=8 << 30,
        disk_free_bytes=60 << 30,
        disk_total_bytes=100 << 30,
    )

    plane.report(Report(serving=1, node_usage=usage))
    plane.report(Report(serving=1, node_usage=usage.model_copy(update={"cpu_percent": 50.0})))

    curve = plane.nodes.history("s1", "1h", 3600)
    assert curve.node == "s1"
    assert len(curve.at) >= SAMPLE_HOLDS_S
    assert curve.series["cpu_percent"][0] == 12.5
    assert {curve.series["memory_used_bytes"][0], curve.series["disk_used_bytes"][0]} == {3.221e9, 4.295e10}
    assert set(curve.series["disk_read_bytes_per_s"]) == {None}
    assert plane.nodes.history("s2", "1h", 3600).at == ()


def test_agents_say_what_is_in_use_of_their_own_gpus_and_nothing_of_unknown_ones(plane: ControlPlane) -> None:
    gpus = tuple(NodeGpu(uuid=f"GPU-{n}", index=n, vendor="amd", name="A", memory_bytes=1 << 30) for n in range(2))
    plane.nodes.write_gpus("s1", gpus)
    own = NodeUsage(
        name="s1", cpu_percent=1.0, memory_used_bytes=1, memory_total_bytes=2, disk_free_bytes=1, disk_total_bytes=2
    )

    busy = GpuUsage(uuid="GPU-0", used_percent=25.0, processes=(GpuProcess(pid=7, project="ulm-07", stage="detect"),))
    for gpu in (busy, GpuUsage(uuid="GPU-1"), GpuUsage(uuid="GPU-9", used_percent=75.0, processes=())):
        plane.nodes.write_usage("s1", own.model_copy(update={"gpus": (gpu,)}))

    (usage,) = plane.nodes.current_usage()
    assert usage.gpus == (busy, GpuUsage(uuid="GPU-1"))
    curves = plane.nodes.history("s1", "1h", 3600).gpus
    assert {uuid: set(each["used_percent"]) for uuid, each in curves.items()} == {"GPU-0": {25.0}, "GPU-1": {None}}
    assert not list(plane.settings.home.rglob("*GPU-9*"))


def test_a_task_that_was_forgotten_has_no_agents(plane: ControlPlane) -> None:
    with pytest.raises(Fenced, match="not known any more"):
        plane.hello(task=a_task("gone"))


def test_an_agent_speaks_for_its_own_submission_only(plane: ControlPlane) -> None:
    key = plane.keys.key(TASK.task_id, 1)

    plane.desk.require_key(TASK.task_id, 1, key)

    for task_id, submission, wrong in ((TASK.task_id, 2, key), ("run.other.1", 1, key), (TASK.task_id, 1, "\udcff")):
        with pytest.raises(NotLoggedIn, match="the agent's key is not valid"):
            plane.desk.require_key(task_id, submission, wrong)


def test_what_cannot_be_understood_is_refused(plane: ControlPlane) -> None:
    with pytest.raises(UsageError, match="cannot be understood"):
        plane.desk.answer(TASK.task_id, 1, "report", b"{}")
    with pytest.raises(UsageError, match="cannot be understood"):
        plane.desk.answer(
            TASK.task_id,
            1,
            "report",
            b'{"serving":1,"log":[{"name":"../../x.log","offset":0,"data":"","grows":true}]}',
        )
    with pytest.raises(NotFound, match="expected one of hello, report"):
        plane.desk.answer(TASK.task_id, 1, "dance", b"{}")


def test_the_order_has_the_values_of_secrets_and_the_wish_to_end(plane: ControlPlane) -> None:
    SecretStore(plane.settings.secrets_dir).set("token", "a long secret")
    task = a_task("secretive").model_copy(update={"env_layers": ({"TOKEN": SecretReference(secret="token")},)})
    plane.submit(task)
    TaskDirectory.of(plane.settings.node.tasks_dir, task.task_id).request_cancel("not needed")

    order = plane.hello(task=task)

    assert order.secrets == {"TOKEN": "a long secret"}
    assert order.cancel == "not needed"


def test_a_checkpoint_goes_to_the_next_serving_and_to_an_attempt_that_continues(plane: ControlPlane) -> None:
    plane.hello()
    checkpoint = Manifest(address="checkpoints/1")
    plane.report(Report(serving=1, checkpoint=checkpoint))
    continuing = a_task("next").model_copy(update={"continues": TASK.task_id})
    plane.submit(continuing)

    assert plane.hello(task=continuing).checkpoint == checkpoint
    plane.submit()
    assert plane.hello().checkpoint == checkpoint


def test_a_node_may_delete_what_no_serving_needs(plane: ControlPlane) -> None:
    plane.hello()
    other = a_task("other")
    plane.submit(other)
    plane.hello(task=other)
    plane.submit()

    order = plane.hello(kept=(f"{TASK.task_id}.s1", f"{other.task_id}.s1", "run.unknown.1.s4", "not-a-serving"))

    assert order.forget == (f"{TASK.task_id}.s1", "run.unknown.1.s4")


def test_agents_report_less_often_the_more_there_are_but_not_where_somebody_reads(plane: ControlPlane) -> None:
    count = int(REPORTS_PER_S * 4)
    for number in range(count):
        plane.submit(a_task(f"stage{number}"))
        last = plane.hello(task=a_task(f"stage{number}"))
    assert last.report_after_s == pytest.approx(count / REPORTS_PER_S)

    plane.submit()
    note_follower(plane.directory)

    assert plane.hello().report_after_s == 1


@pytest.fixture
def node(tmp_path: Path) -> TaskDirectory:
    directory = TaskDirectory.of(tmp_path / "node", f"{TASK.task_id}.s1")
    directory.write_task(TASK)
    return directory


def a_reporter(wire: Wire, node: TaskDirectory) -> Reporter:
    job = JobFacts(TASK.task_id, wire.plane.submission, "", "7", "s1", ())
    settings = wire.plane.settings.node
    return Reporter(wire, node, partial(usage_without_gpus, settings), 1, job)  # type: ignore[arg-type]  # it is used as one


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def mirrored(plane: ControlPlane) -> list[str]:
    return [line.text for line in LogReader(plane.directory.log).lines()]


def test_the_first_report_does_not_wait_for_what_is_in_use_on_the_node(
    plane: ControlPlane, node: TaskDirectory
) -> None:
    plane.hello()
    reporter = a_reporter(Wire(plane), node)

    reporter.report()

    assert plane.nodes.current_usage() == ()
    until("it comes later", lambda: reporter.report() and plane.nodes.current_usage())


def test_the_log_is_mirrored_as_it_grows_and_is_compressed(plane: ControlPlane, node: TaskDirectory) -> None:
    plane.hello()
    reporter = a_reporter(Wire(plane), node)
    with LogWriter(node.log, TASK.log_rules, segment_bytes=20_000) as writer:
        for number in range(2000):
            writer.write("stdout", f"line {number}\n".encode())
            if number % 500 == 499:
                reporter.report()
                assert mirrored(plane)[-1] == f"line {number}"
    node.write_status(a_status("x").model_copy(update={"task_id": f"{TASK.task_id}.s1", "node": "host"}))
    reporter.report(a_result().model_copy(update={"task_id": f"{TASK.task_id}.s1"}))

    assert mirrored(plane) == [f"line {number}" for number in range(2000)]
    assert LogReader(plane.directory.log).ended
    assert sorted(path.name for path in plane.directory.log.iterdir()) == sorted(
        path.name for path in node.log.iterdir()
    )
    status, result = plane.directory.status(), plane.directory.result()
    assert status is not None
    assert result is not None
    assert (status.task_id, status.node, result.task_id) == (TASK.task_id, "s1", TASK.task_id)


def test_nothing_is_lost_or_doubled_when_messages_or_answers_get_lost(plane: ControlPlane, node: TaskDirectory) -> None:
    plane.hello()
    wire = Wire(plane)
    reporter = a_reporter(wire, node)
    with LogWriter(node.log, TASK.log_rules) as writer:
        for number in range(9):
            wire.cut, wire.loses_answers = number % 3 == 0, number % 3 == 1
            writer.write("stdout", f"line {number}\n".encode())
            node.write_status(a_status(f"line {number}"))
            if wire.cut or wire.loses_answers:
                with pytest.raises(EngineError, match=r"cut|lost"):
                    reporter.report()
            else:
                reporter.report()
                assert mirrored(plane) == [f"line {seen}" for seen in range(number + 1)]
                status = plane.directory.status()
                assert status is not None
                assert status.reason == f"line {number}"


def test_a_result_is_taken_only_with_the_whole_log(plane: ControlPlane, node: TaskDirectory) -> None:
    plane.hello()
    reporter = a_reporter(Wire(plane), node)
    with LogWriter(node.log, TASK.log_rules) as writer:
        writer.write("stdout", b"first\n")
        reporter.report()
        writer.write("stdout", b"second\n")
        (segment,) = plane.directory.log.glob("*.log")
        segment.write_bytes(b"")  # as after a power failure
        plane.report(Report(serving=1, status=a_status("x")))

    reporter.report(a_result())

    assert plane.directory.result() is not None
    assert mirrored(plane) == ["first", "second"]


def test_the_log_of_a_serving_that_was_replaced_goes_aside(plane: ControlPlane, node: TaskDirectory) -> None:
    plane.hello()
    with LogWriter(node.log, TASK.log_rules) as writer:
        writer.write("stdout", b"of the first\n")
    a_reporter(Wire(plane), node).report()

    plane.hello()

    assert mirrored(plane) == []
    status = plane.directory.status()
    assert status is not None
    assert status.reason == "its runner starts on s1"


def test_a_secret_that_was_removed_ends_the_task_and_says_so(plane: ControlPlane) -> None:
    task = a_task("secretive").model_copy(update={"env_layers": ({"TOKEN": SecretReference(secret="token")},)})
    plane.submit(task)

    with pytest.raises(Fenced):
        plane.hello(task=task)

    result = TaskDirectory.of(plane.settings.node.tasks_dir, task.task_id).result()
    assert result is not None
    assert (result.outcome, result.message[:32]) == ("failed", "the secret token is not stored. ")


def test_an_agent_that_is_silent_for_long_is_the_reason_that_is_shown(plane: ControlPlane) -> None:
    plane.hello()
    plane.report(Report(serving=1, status=a_status("it works")))
    cached = CachedState()
    file = plane.directory.path / "status.json"
    long_ago = time.time() - SILENT_S - 60
    os.utime(file, (long_ago, long_ago))
    cached.read_status(plane.directory)
    silent = said_by_agent(cached)
    assert silent is not None
    assert silent.reason.startswith("its agent on s1 has not reported for 2 m")

    plane.report(Report(serving=1))

    cached.read_status(plane.directory)
    heard = said_by_agent(cached)
    assert heard is not None
    assert heard.reason == "it works"


def test_what_somebody_looks_at_comes_with_the_next_reports(plane: ControlPlane, tmp_path: Path) -> None:
    plane.hello()
    node, live = TaskDirectory(tmp_path / "node"), LiveFiles(plane.directory)
    (node.output / "sub").mkdir(parents=True)
    file = node.output / "sub" / "loss.csv"
    file.write_text("step,loss\n")
    (node.output / "link.csv").symlink_to("/etc/passwd")
    reporter = a_reporter(Wire(plane), node)

    reporter.report()
    assert [(each.path, each.size_bytes) for each in live.names()] == [("sub/loss.csv", 10)]
    reporter.report()
    assert names_in(plane.directory.path / "live") == ["written.json"]  # Nobody looks at it.
    with pytest.raises(NotFound, match=r"no file 'link\.csv'"):
        live.read("link.csv", 100)
    assert live.read("sub/loss.csv", 100) == b""
    reporter.report()  # Its answer says what is wanted,
    reporter.report()  # and this one brings it.
    assert live.read("sub/loss.csv", 100) == b"step,loss\n"
    with file.open("a") as more:
        more.write("1,0.5\n")
    reporter.report()
    assert live.read("sub/loss.csv", 100) == b"step,loss\n1,0.5\n"
    assert live.read("sub/loss.csv", 4) == b"step"

    file.write_text("step,loss\n1,0.4\n2,0.3\n")  # It is written anew, as some programs do.
    reporter.report()
    assert live.read("sub/loss.csv", 100) == b"step,loss\n1,0.4\n2,0.3\n"
    file.write_text("")
    reporter.report()
    assert live.read("sub/loss.csv", 100) == b""

    reporter.report(a_result())
    assert not (plane.directory.path / "live").exists()


def test_live_files_have_bounds(plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_files, "MOST_BYTES", 1000)
    plane.hello()
    node, live = TaskDirectory(tmp_path / "node"), LiveFiles(plane.directory)
    node.output.mkdir(parents=True)
    for number in range(MOST_NAMED + 50):
        (node.output / f"{number:03}.csv").write_bytes(b"x" * (2000 + number))
    reporter = a_reporter(Wire(plane), node)
    reporter.report()
    assert [file.path for file in live.names()] == [f"{number:03}.csv" for number in range(50, MOST_NAMED + 50)]

    for number in range(50, 70):
        live.read(f"{number:03}.csv", 1 << 20)
    for _ in range(3):
        reporter.report()

    copies = [path.stat().st_size for path in (plane.directory.path / "live").glob("*.copy")]
    assert copies == [1000] * MOST_WANTED
    for look in (plane.directory.path / "live").glob("*.look"):
        os.utime(look, (1, 1))
    reporter.report()
    assert names_in(plane.directory.path / "live") == ["written.json"]


def test_a_node_is_left_out_where_a_job_could_get_too_small_a_gpu(plane: ControlPlane) -> None:
    def gpu(index: int, vendor: str, gib: int) -> NodeGpu:
        return NodeGpu(uuid=f"{vendor}-{index}", index=index, vendor=vendor, name="G", memory_bytes=gib << 30)

    # Slurm gives either of NVIDIA's to a job that asks for one.
    plane.nodes.write_gpus("mixed", [gpu(0, "nvidia", 24), gpu(1, "nvidia", 80), gpu(0, "amd", 64)])

    asked = {("nvidia", 24): False, ("nvidia", 40): True, ("amd", 64): False, ("amd", 65): True, (None, 24): False}
    for (vendor, gib), left_out in asked.items():
        wanted = Gpu.model_validate({"vendor": vendor, "memory_bytes": gib << 30})
        assert plane.nodes.too_small("mixed", wanted) == left_out, wanted
    assert not plane.nodes.too_small("mixed", Gpu(vendor="nvidia"))
    assert not plane.nodes.too_small("not known yet", Gpu(memory_bytes=1 << 40))


def test_nodes_that_turn_out_to_have_small_gpus_do_not_count_as_failures(plane: ControlPlane) -> None:
    wanted = TASK.model_copy(update={"task_id": "run.large.1", "gpu": Gpu(memory_bytes=2 << 30)})
    plane.submit(wanted)

    with pytest.raises(Fenced, match="the GPUs of s1 have too little memory"):
        plane.hello(task=wanted)

    last = Ledger.read(TaskDirectory.of(plane.settings.node.tasks_dir, wanted.task_id)).last
    assert last is not None
    assert last.refused


def test_a_node_says_how_much_memory_its_gpus_have_before_any_agent_does() -> None:
    shown = {"NodeHost": "ulm-1", "CPUs": "8", "Memory": "1000", "Gres": "gpu:nvidia:2", "StateLong": "idle"}
    shown["Features_act"] = "ulm,winslow.nvidia.24576MiB"

    node = parsed("".join(shown.get(name, "").ljust(width) for name, width in COLUMNS.items()))

    assert (node.features, node.gpu_memory) == (("ulm",), {"nvidia": 24 << 30})
