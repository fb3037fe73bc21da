"""Stages on a real cluster with the agents and runners that ship, and S3 as the store."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import boto3
import psutil
import pytest
from engine_drivers import a_task
from patience import until
from slurm_cluster import SlurmCluster
from slurm_installation import SlurmInstallation, slurm_installation

from winslow_dagster.engines.slurm.job_request import BYTECODE
from winslow_dagster.engines.slurm.ledger import Ledger, Submission
from winslow_dagster.engines.slurm.messages import Hello, Order
from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.pipelines.model.stage_rules import Gpu
from winslow_dagster.pipelines.variables import SecretReference
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import StageResult, StageTask
from winslow_dagster.storage.factory import open_store
from winslow_dagster.storage.secrets import SecretStore

pytestmark = [pytest.mark.slurm, pytest.mark.s3, pytest.mark.slow]

UNTIL_GO = 'echo ran >> "$WINSLOW_OUTPUT_DIR/ran"; while [ ! -e "$WINSLOW_OUTPUT_DIR/go" ]; do sleep 0.1; done'


@pytest.fixture(scope="module")
def home(session_slurm_cluster: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmInstallation]:
    port = os.environ["WINSLOW_TEST_S3_ENDPOINT"].rpartition(":")[2]
    endpoint = f"http://{session_slurm_cluster.host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("ACCESS_KEY_ID", "dev"),
            ("SECRET_ACCESS_KEY", "devsecret"),
            ("DEFAULT_REGION", "us-east-1"),
        ):
            patch.setenv(f"AWS_{name}", os.environ.get(f"AWS_{name}", value))
        bucket = boto3.resource("s3", endpoint_url=endpoint).create_bucket(Bucket=f"winslow-test-{uuid4().hex}")
        store = {"WINSLOW_STORE_URL": f"s3://{bucket.name}", "WINSLOW_S3_ENDPOINT": endpoint}
        with slurm_installation(session_slurm_cluster, tmp_path_factory.mktemp("slurm"), environment=store) as home:
            yield home
        bucket.objects.all().delete()
        bucket.delete()


def a_stage(home: SlurmInstallation, script: str, **changes: object) -> StageTask:
    run_id = f"test-{uuid4().hex[:12]}"
    settings = home.settings
    return a_task(run_id=run_id).model_copy(
        update={
            "mode": "process",
            "command": ("sh",),
            "args": ("-c", script),
            "store_url": settings.store_url,
            "s3_endpoint": settings.s3_endpoint,
            "output_address": f"projects/ulm-07/{run_id}/output",
            "log_address": f"projects/ulm-07/{run_id}/log",
            "stop_grace_period_s": 1.0,
        }
        | changes
    )


def ended(home: SlurmInstallation, task: StageTask) -> StageResult:
    """Its result, as whoever waits for it gets it: a task whose runner died is submitted again."""
    while (state := home.engine.wait(task.task_id, timeout_s=600)).result is None:
        assert not state.runner_alive
        home.engine.submit(task)
    return state.result


def serving(home: SlurmInstallation, task: StageTask) -> TaskDirectory:
    ledger = Ledger.read(TaskDirectory.of(home.settings.node.tasks_dir, task.task_id))
    return home.serving(task.task_id, ledger.serving)


def until_runs(home: SlurmInstallation, task: StageTask) -> TaskDirectory:
    def runs() -> bool:
        return (serving(home, task).output / "ran").exists()

    until("its program runs", runs)
    return serving(home, task)


def let_go(home: SlurmInstallation, task: StageTask) -> None:
    (serving(home, task).output / "go").touch()


def job_of(home: SlurmInstallation, task: StageTask) -> str:
    last = Ledger.read(TaskDirectory.of(home.settings.node.tasks_dir, task.task_id)).last
    assert last is not None
    return last.job_id


def content(home: SlurmInstallation, result: StageResult, path: str) -> str:
    assert result.outputs is not None
    store = open_store(home.settings.store_url, home.settings.s3_endpoint)
    (entry,) = (entry for entry in result.outputs.files if entry.path == path)
    return store.read_range(result.outputs, entry, 0, entry.size_bytes).decode()


def log_lines(home: SlurmInstallation, task: StageTask) -> list[str]:
    return [line.text for line in home.engine.log(task.task_id).lines() if line.stream != "winslow"]


@pytest.mark.parametrize("mode", [pytest.param("docker", marks=pytest.mark.docker), "process"])
def test_a_stage_goes_from_submit_to_its_outputs_in_the_store(
    home: SlurmInstallation, mode: str, test_image: str
) -> None:
    script = f'echo hello; echo $WINSLOW_STAGE > "$WINSLOW_OUTPUT_DIR/name"; {UNTIL_GO}'
    task = a_stage(home, script, mode=mode, image=test_image if mode == "docker" else None)

    home.engine.submit(task)
    directory = until_runs(home, task)
    until("its log is here while it runs", lambda: log_lines(home, task) == ["hello"])
    until("its status says that it runs", lambda: home.engine.status(task.task_id).running)
    if mode == "docker":
        labels = ["--filter", f"label=winslow.slurm_job={job_of(home, task)}", "--format", "{{.Names}}"]
        containers = subprocess.run(["docker", "ps", *labels], capture_output=True, text=True, check=True).stdout
        assert containers.split() == [f"winslow-{task.task_id}.s1"]
    let_go(home, task)

    result = ended(home, task)
    assert (result.outcome, result.mode, result.task_id) == ("succeeded", mode, task.task_id)
    assert result.node in {"s1", "s2", "s3"}
    assert content(home, result, "name") == "detect\n"
    assert content(home, result, "ran") == "ran\n"
    assert log_lines(home, task) == ["hello"]
    until("nothing is left on the node", lambda: not directory.path.exists())


def test_agents_compile_what_they_import_once_for_each_node(home: SlurmInstallation) -> None:
    task = a_stage(home, "true")

    home.engine.submit(task)

    compiled = home.node_dir(ended(home, task).node) / BYTECODE
    assert {path.name.partition(".")[0] for path in compiled.rglob("*.pyc")} >= {"agent", "attempt", "processes"}


@pytest.mark.docker
def test_an_image_that_a_node_lacks_is_named_with_the_node_and_the_way_to_get_it_there(home: SlurmInstallation) -> None:
    image = "127.0.0.1:1/winslow/of-nobody:1"
    task = a_stage(home, "true", mode="docker", image=image, node_tags=("big",))

    home.engine.submit(task)

    result = ended(home, task)
    assert result.outcome == "failed"
    assert f"the image {image} is not on s1 and cannot be pulled: " in result.message
    assert f"`docker save {image} | ssh s1 docker load`; then redo the stage" in result.message
    with pytest.raises(ServiceUnavailable, match="which images the nodes of a cluster have is not known"):
        home.engine.images([image])


def test_a_file_that_a_stage_writes_can_be_looked_at_before_the_stage_has_ended(home: SlurmInstallation) -> None:
    task = a_stage(home, f'echo step,loss >"$WINSLOW_OUTPUT_DIR/loss.csv"; {UNTIL_GO}')
    home.engine.submit(task)
    directory = until_runs(home, task)

    until("its name is here", lambda: "loss.csv" in {file.path for file in home.engine.growing_files(task.task_id)})
    until("its content is here", lambda: home.engine.read_growing(task.task_id, "loss.csv", 100) == b"step,loss\n")
    with (directory.output / "loss.csv").open("a") as file:
        file.write("1,0.5\n")
    until("what is new is here", lambda: home.engine.read_growing(task.task_id, "loss.csv", 100).endswith(b"1,0.5\n"))

    let_go(home, task)
    assert content(home, ended(home, task), "loss.csv") == "step,loss\n1,0.5\n"
    assert home.engine.growing_files(task.task_id) == ()


def test_a_stage_gets_exactly_the_gpus_that_slurm_has_given_it(home: SlurmInstallation) -> None:
    script = f'echo "$CUDA_VISIBLE_DEVICES,$ROCR_VISIBLE_DEVICES" > "$WINSLOW_OUTPUT_DIR/seen"; {UNTIL_GO}'
    nvidia = [a_stage(home, script, gpu=Gpu(vendor="nvidia")) for _ in range(2)]
    amd = a_stage(home, script, gpu=Gpu(vendor="amd"))
    third = a_stage(home, script, gpu=Gpu(vendor="nvidia"))
    for task in (*nvidia, amd):
        home.engine.submit(task)
    for task in (*nvidia, amd):
        until_runs(home, task)
    home.engine.submit(third)
    until("the third waits", lambda: "waits for room" in home.engine.explain(third.task_id))

    for task in (*nvidia, amd):
        let_go(home, task)
    seen = {content(home, ended(home, task), "seen").strip() for task in nvidia}
    assert seen == {"GPU-0,", "GPU-1,"}
    assert content(home, ended(home, amd), "seen").strip() == ",0"
    until_runs(home, third)
    let_go(home, third)
    assert ended(home, third).gpus in {("GPU-0",), ("GPU-1",)}
    assert {gpu.uuid for node in home.engine.nodes() for gpu in node.gpus} == {"GPU-0", "GPU-1", "amd-0"}


def test_a_stage_runs_where_gpus_have_the_memory_that_it_needs(home: SlurmInstallation) -> None:
    (home.settings.home / "slurm" / "nodes" / "s2" / "node.json").unlink(missing_ok=True)  # as before its first agent
    on_s1 = a_stage(home, UNTIL_GO, gpu=Gpu(vendor="nvidia", count=2))
    home.engine.submit(on_s1)
    until_runs(home, on_s1)
    # Slurm sends it to s2 first, whose only GPU is too small.
    task = a_stage(home, "true", gpu=Gpu(memory_bytes=20 << 30))
    home.engine.submit(task)
    until("it is submitted again", lambda: not home.engine.wait(task.task_id, timeout_s=1).served)
    home.engine.submit(task)
    until("it waits for s1", lambda: "waits for room" in home.engine.explain(task.task_id))
    let_go(home, on_s1)

    assert ended(home, on_s1).outcome == "succeeded"
    assert (ended(home, task).outcome, ended(home, task).node) == ("succeeded", "s1")


def test_a_stage_that_needs_more_gpu_memory_than_any_node_has_says_so_and_waits(home: SlurmInstallation) -> None:
    task = a_stage(home, "true", gpu=Gpu(vendor="nvidia", memory_bytes=100 << 30))
    home.engine.submit(task)

    def says_so() -> bool:
        home.engine.submit(task)  # as whoever waits for it does: a node may turn out to be unsuitable
        asked = "1 CPU, 1 nvidia GPU with 100 GiB"
        return f"no node has all that it asks for at once: {asked}." in home.engine.explain(task.task_id)

    until("it says so", says_so)
    home.engine.cancel(task.task_id, "not needed")
    assert ended(home, task).outcome == "cancelled"


def test_stages_that_wait_can_be_reordered(home: SlurmInstallation) -> None:
    holder, early, late = (a_stage(home, UNTIL_GO, gpu=Gpu(vendor="amd")) for _ in range(3))
    for task in (holder, early, late):
        home.engine.submit(task)
        if task is holder:
            until_runs(home, task)
    until("both wait", lambda: all("waits for" in home.engine.explain(task.task_id) for task in (early, late)))

    home.engine.set_priorities({early.task_id: 1, late.task_id: 2})
    let_go(home, holder)

    until_runs(home, late)
    assert not home.engine.status(early.task_id).running
    for task in (late, early):
        until_runs(home, task)
        let_go(home, task)
        assert ended(home, task).outcome == "succeeded"


def test_gpus_that_no_node_has_yet_are_waited_for(home: SlurmInstallation) -> None:
    task = a_stage(home, "true", gpu=Gpu(vendor="intel"))

    home.engine.submit(task)

    assert "no node has all that it asks for at once: 1 CPU, 1 intel GPU." in home.engine.explain(task.task_id)
    assert home.engine.status(task.task_id).served
    home.engine.cancel(task.task_id, "not needed")
    assert ended(home, task).outcome == "cancelled"


def test_an_optional_gpu_that_no_node_has_is_done_without(home: SlurmInstallation) -> None:
    task = a_stage(home, "true", gpu=Gpu(vendor="intel", optional=True))

    home.engine.submit(task)

    assert (ended(home, task).outcome, ended(home, task).gpus) == ("succeeded", ())


def test_a_waiting_stage_says_why_and_ends_without_having_run(home: SlurmInstallation) -> None:
    busy = [a_stage(home, UNTIL_GO, cpus=8) for _ in range(3)]
    waiting = a_stage(home, UNTIL_GO, cpus=8)
    for task in busy:
        home.engine.submit(task)
        until_runs(home, task)
    home.engine.submit(waiting)
    until("it says why", lambda: "waits for room" in home.engine.explain(waiting.task_id))

    home.engine.cancel(waiting.task_id, "not needed")

    result = ended(home, waiting)
    assert (result.outcome, result.message, result.node) == ("cancelled", "not needed", "")
    for task in busy:
        home.engine.cancel(task.task_id, "the test has ended")
        assert ended(home, task).outcome == "cancelled"


def test_secrets_reach_the_stage_and_nothing_of_slurm(home: SlurmInstallation) -> None:
    SecretStore(home.settings.secrets_dir).set("token", "a-very-secret-token")
    task = a_stage(
        home,
        f'test "$TOKEN" = a-very-secret-token && echo "$TOKEN" && {UNTIL_GO}',
        env_layers=({"TOKEN": SecretReference(secret="token", in_env=True)},),
    )
    home.engine.submit(task)
    until_runs(home, task)

    script = home.cluster.slurm("scontrol", "write", "batch_script", job_of(home, task), "-")

    state = b"".join(path.read_bytes() for path in home.cluster.directory.rglob("state/*") if path.is_file())
    for known in (script, home.cluster.slurm("scontrol", "show", "job", job_of(home, task)), state.decode("latin-1")):
        assert "a-very-secret-token" not in known
        assert "WINSLOW_OUTPUT_DIR/go" not in known
    let_go(home, task)
    assert ended(home, task).outcome == "succeeded"
    assert log_lines(home, task) == ["***"]


def test_a_runner_that_dies_is_replaced_on_its_node_and_its_program_runs_on(home: SlurmInstallation) -> None:
    task = a_stage(home, UNTIL_GO)
    home.engine.submit(task)
    directory = until_runs(home, task)
    until("the status is here", lambda: home.engine.status(task.task_id).running)
    status = directory.status()
    assert status is not None
    assert status.runner_pid is not None
    psutil.Process(status.runner_pid).send_signal(signal.SIGKILL)

    until("another one serves it", lambda: (directory.status() or status).runner_pid != status.runner_pid)
    let_go(home, task)

    assert content(home, ended(home, task), "ran") == "ran\n"
    assert Ledger.read(TaskDirectory.of(home.settings.node.tasks_dir, task.task_id)).serving == 1


@pytest.mark.docker
def test_a_success_counts_even_if_its_node_cannot_be_cleared_up(home: SlurmInstallation) -> None:
    task = a_stage(home, UNTIL_GO)
    home.engine.submit(task)
    directory = until_runs(home, task)
    stuck = directory.work / "stuck"
    stuck.mkdir()
    subprocess.run(["mount", "--bind", stuck, stuck], check=True)  # No runner can remove it.
    try:
        let_go(home, task)

        result = ended(home, task)
        assert (result.outcome, content(home, result, "ran")) == ("succeeded", "ran\n")
        until("its job has ended", lambda: not home.jobs())
        assert ended(home, task) == result
    finally:
        subprocess.run(["umount", stuck], check=True)
        shutil.rmtree(directory.path)


def test_a_serving_that_was_replaced_stops_its_container_and_leaves_nothing(
    home: SlurmInstallation, test_image: str
) -> None:
    task = a_stage(home, UNTIL_GO, mode="docker", image=test_image)
    home.engine.submit(task)
    directory = until_runs(home, task)
    mirror, job = TaskDirectory.of(home.settings.node.tasks_dir, task.task_id), job_of(home, task)
    ledger = Ledger.read(mirror)
    ledger.changed(numbers=2, last=Submission(number=2, at_s=time.time(), job_id="0")).write(mirror)

    desk, hello = home.engine.agent_desk(), Hello(job_id="0", node="s2").model_dump_json().encode()
    order = Order.model_validate_json(desk.answer(task.task_id, 2, "hello", hello))

    assert order.serving == 2
    until("the old job is gone", lambda: job not in home.jobs())
    assert not directory.path.exists()
    names = ["docker", "ps", "-a", "--filter", f"name=winslow-{task.task_id}", "--format", "{{.Names}}"]
    assert subprocess.run(names, capture_output=True, text=True, check=True).stdout == ""
    assert home.engine.status(task.task_id).result is None
    home.engine.cancel(task.task_id, "the test has ended")
    assert ended(home, task).outcome == "cancelled"


def test_what_ends_while_the_web_server_is_away_is_delivered_later(home: SlurmInstallation) -> None:
    task = a_stage(home, f"{UNTIL_GO}; echo later")
    home.engine.submit(task)
    directory = until_runs(home, task)
    home.server.stop()
    try:
        let_go(home, task)
        until("it has ended on its node", lambda: directory.result() is not None)
        assert home.engine.status(task.task_id).result is None
    finally:
        home.server.start()

    assert ended(home, task).outcome == "succeeded"
    assert log_lines(home, task) == ["later"]


def test_a_result_in_the_store_is_found_before_the_stage_would_run_again(home: SlurmInstallation) -> None:
    task = a_stage(home, UNTIL_GO)
    home.engine.submit(task)
    directory = until_runs(home, task)
    home.server.stop()
    try:
        let_go(home, task)
        until("it has ended on its node", lambda: directory.result() is not None)
        home.cluster.slurm("scancel", "--batch", "--signal=TERM", job_of(home, task))
        until("its job is gone", lambda: job_of(home, task) not in home.jobs())

        result = ended(home, task)
    finally:
        home.server.start()

    assert result.outcome == "succeeded"
    assert content(home, result, "ran") == "ran\n"
    assert Ledger.read(TaskDirectory.of(home.settings.node.tasks_dir, task.task_id)).serving == 1


def test_a_stage_that_slurm_ends_continues_from_its_checkpoint_in_another_job(home: SlurmInstallation) -> None:
    keep = 'echo x >> "$WINSLOW_CHECKPOINT_DIR/steps"; cp "$WINSLOW_CHECKPOINT_DIR/steps" "$WINSLOW_OUTPUT_DIR/steps"'
    task = a_stage(home, f"{keep}; {UNTIL_GO}")
    home.engine.submit(task)
    first = until_runs(home, task)
    home.cluster.slurm("scancel", "--batch", "--signal=TERM", job_of(home, task))
    until("its job is gone", lambda: not home.engine.wait(task.task_id, timeout_s=1).served)
    assert home.engine.status(task.task_id).result is None

    home.engine.submit(task)
    until("it runs again", lambda: serving(home, task).path != first.path)
    until_runs(home, task)
    let_go(home, task)

    result = ended(home, task)
    assert content(home, result, "steps") == "x\nx\n"
    assert result.outputs is not None
    assert result.outputs.address.endswith("/s2")


def test_a_submit_while_slurmctld_is_away_waits_and_what_runs_goes_on(home: SlurmInstallation) -> None:
    running, later = a_stage(home, UNTIL_GO, project=f"ulm-{uuid4().hex[:8]}"), a_stage(home, "true")
    home.engine.submit(running)
    until_runs(home, running)
    until("its status is here", lambda: home.engine.status(running.task_id).running)
    # A controller that is killed before it has saved a job forgets it. The agent's first act makes it save.
    saved = home.cluster.directory / "state" / "job_state"
    until("its job is saved", lambda: f"{running.project}/detect, attempt 1, on s".encode() in saved.read_bytes())
    home.cluster.kill_slurmctld()
    try:
        home.engine.submit(later)
        assert "does not answer" in home.engine.explain(later.task_id)
        until("it cannot be told", lambda: home.engine.status(running.task_id).cannot_tell)
        assert home.engine.status(running.task_id).running
    finally:
        home.cluster.start_slurmctld()

    assert ended(home, later).outcome == "succeeded"
    let_go(home, running)
    assert ended(home, running).outcome == "succeeded"


def test_what_replaced_servings_stored_goes_with_the_task(home: SlurmInstallation) -> None:
    task = a_stage(home, f'echo x > "$WINSLOW_CHECKPOINT_DIR/x"; {UNTIL_GO}')
    home.engine.submit(task)
    until_runs(home, task)
    home.engine.cancel(task.task_id, "not needed")
    assert ended(home, task).outcome == "cancelled"
    store = open_store(home.settings.store_url, home.settings.s3_endpoint)
    checkpoint = f"{task.output_address}/s1-checkpoint"
    assert store.manifest(checkpoint) is not None

    assert home.engine.forget(task.task_id)

    assert store.manifest(checkpoint) is None
    assert store.manifest(f"{task.log_address}/s1") is not None


def test_what_slurm_has_is_shown_of_each_node(home: SlurmInstallation) -> None:
    nodes = {node.name: node for node in home.engine.nodes()}

    assert set(nodes) == {"s1", "s2", "s3"}
    assert nodes["s1"].tags == ("big",)
    assert [gpu.vendor for gpu in nodes["s1"].gpus] == ["nvidia", "nvidia"]
    assert (nodes["s3"].cpus, nodes["s3"].memory_bytes, nodes["s3"].gpus) == (8, 8000 << 20, ())
    assert Path(home.settings.home / "slurm").is_dir()
