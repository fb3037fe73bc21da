"""What only containers promise: how they are shut in, and what is said when Docker cannot do its part."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import tempfile
import time
import traceback
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from attempts import Place, containers, inspected
from patience import until

from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.pipelines.model.stage_rules import Gpu
from winslow_dagster.stages.gpu_allocator import write_node_gpus
from winslow_dagster.stages.launchers.base import Launch
from winslow_dagster.stages.launchers.docker import containers as stage_containers
from winslow_dagster.stages.launchers.docker.containers import DockerDaemon
from winslow_dagster.stages.launchers.docker.facts import explained
from winslow_dagster.stages.launchers.docker.spec import container_config, gpu_config
from winslow_dagster.stages.runner import runtime_selection, supervision
from winslow_dagster.stages.runner.service import serve
from winslow_dagster.stages.task.model import NodeGpu, StageResult, StageTask

pytestmark = pytest.mark.docker

NOBODY = 65534
STATUS = "busybox grep -E '^(CapPrm|CapEff|CapBnd|NoNewPrivs):' /proc/self/status"


@pytest.fixture
def users_image(test_image: str, tmp_path: Path) -> Iterator[str]:
    """An image that needs a user of its own."""
    yield from built("RUN busybox ln -s busybox /bin/chown\nUSER 1234:1234", test_image, tmp_path)


@pytest.fixture
def named_users_image(test_image: str, tmp_path: Path) -> Iterator[str]:
    """An image whose user has a name, and that has no chown."""
    passwd = "RUN mkdir -p /etc && echo app:x:2345:2345::/:/bin/sh > /etc/passwd"
    yield from built(f"{passwd}\nUSER app", test_image, tmp_path)


def built(lines: str, test_image: str, tmp_path: Path) -> Iterator[str]:
    image = f"winslow-test-user:{uuid.uuid4().hex[:8]}"
    (tmp_path / "Dockerfile").write_text(f"FROM {test_image}\n{lines}\n")
    subprocess.run(
        ["docker", "build", "-q", "-t", image, str(tmp_path)],
        check=True,
        capture_output=True,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
    )
    yield image
    subprocess.run(["docker", "rmi", "-f", image], check=True, capture_output=True)


def test_a_stage_has_no_capabilities_and_can_gain_none(docker_place: Place) -> None:
    task = docker_place.task(STATUS)
    docker_place.serve(task)
    assert [line.split() for line in docker_place.lines(task)] == [
        ["CapPrm:", "0000000000000000"],
        ["CapEff:", "0000000000000000"],
        ["CapBnd:", "0000000000000000"],
        ["NoNewPrivs:", "1"],
    ]


def test_a_stage_has_the_network_only_where_it_asks(docker_place: Place) -> None:
    without, with_it = docker_place.task("ls /sys/class/net"), docker_place.task("ls /sys/class/net", network=True)
    docker_place.serve(without)
    docker_place.serve(with_it)
    assert docker_place.lines(without) == ["lo"]
    assert "eth0" in docker_place.lines(with_it)


def test_inputs_and_resources_cannot_be_changed(docker_place: Place, tmp_path: Path) -> None:
    upstream = tmp_path / "upstream"
    upstream.mkdir()
    (upstream / "a").write_text("a")
    manifest = docker_place.store.commit_tree(upstream, "projects/ulm-07/track/1/output")
    task = docker_place.task(
        "for d in /winslow/input/track /winslow/resources/video /winslow/resources; do\n"
        "echo x > $d/new || echo kept; done; echo x >> /winslow/input/track/a || echo kept",
        inputs={"track": manifest},
        resources={"video": manifest},
    )
    docker_place.serve(task)
    assert docker_place.lines(task).count("kept") >= 3
    assert docker_place.text(manifest, "a") == "a"


def test_a_container_is_found_by_its_labels_and_held_to_its_limits(docker_place: Place) -> None:
    task = docker_place.task("while true; do sleep 1; done", cpus=0.5, memory_bytes=64 << 20, shm_size_bytes=8 << 20)
    with docker_place.running(task):
        until("it runs", lambda: docker_place.phase(task) == "running")
        (container,) = containers(f"label=winslow.home={docker_place.home / 'tasks'}")
        found = inspected(container)
        docker_place.directory(task).request_cancel("seen")
        until("it has ended", docker_place.directory(task).result)
    assert found["Name"] == f"/winslow-{task.task_id}"
    labels = {name: value for name, value in found["Config"]["Labels"].items() if name.startswith("winslow.")}
    assert labels == {
        "winslow.task": task.task_id,
        "winslow.project": "ulm-07",
        "winslow.stage": "detect",
        "winslow.run": task.run_id,
        "winslow.home": str(docker_place.home / "tasks"),
    }
    host = found["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (64 << 20, 64 << 20, 500_000_000)
    assert (host["ShmSize"], host["NetworkMode"], host["Privileged"]) == (8 << 20, "none", False)


def test_an_image_that_is_nowhere_is_named_with_the_ways_to_get_it(docker_place: Place) -> None:
    result = docker_place.run("true", image="localhost:1/traffic/tracker:9")
    assert result.outcome == "failed"
    for part in ("stage detect", "localhost:1/traffic/tracker:9", "docker build -t", "docker pull"):
        assert part in result.message


def test_outputs_of_an_image_with_its_own_user_belong_to_the_runner(docker_place: Place, users_image: str) -> None:
    task = docker_place.task("mkdir /winslow/output/deep; busybox id -u > /winslow/output/deep/user", image=users_image)
    ended = served_by_nobody(docker_place, task)
    assert ended.outcome == "succeeded", ended.message
    assert docker_place.text(ended.outputs, "deep/user") == "1234\n"


def test_an_image_with_its_own_user_goes_on_from_its_checkpoint(docker_place: Place, users_image: str) -> None:
    half = docker_place.task(
        "mkdir $WINSLOW_CHECKPOINT_DIR/a; echo half > $WINSLOW_CHECKPOINT_DIR/a/b; exit 3", image=users_image
    )
    assert served_by_nobody(docker_place, half).outcome == "failed"
    rest = docker_place.task(
        'cd "$WINSLOW_CHECKPOINT_DIR/a" && echo more >> b && echo new > c && cp b /winslow/output/whole',
        image=users_image,
        continues=half.task_id,
    )
    ended = served_by_nobody(docker_place, rest)
    assert ended.outcome == "succeeded", ended.message
    assert docker_place.text(ended.outputs, "whole") == "half\nmore\n"
    assert not docker_place.directory(rest).checkpoint.exists()


def test_only_the_images_user_and_the_runner_can_write_to_the_outputs(docker_place: Place, users_image: str) -> None:
    task = docker_place.task("mkdir /winslow/output/deep; echo 1 > /winslow/output/f; exit 3", image=users_image)
    served_by_nobody(docker_place, task)
    output = docker_place.directory(task).output
    modes = {path.name: stat.filemode(path.stat().st_mode) for path in (output, *output.iterdir())}
    assert modes == {"output": "drwxrwxr-x", "deep": "drwxrwxr-x", "f": "-rw-rw-r--"}  # the group's bits: the mask
    for uid, may_write in ((1234, True), (NOBODY, True), (4321, False)):
        touch = ("busybox", "touch", output / f"by-{uid}", output / "deep" / f"by-{uid}")
        ended = subprocess.run(touch, user=uid, group=uid, extra_groups=(), capture_output=True, check=False)
        assert (ended.returncode == 0) == may_write


def test_an_image_whose_user_has_a_name_can_write_its_outputs(docker_place: Place, named_users_image: str) -> None:
    ended = served_by_nobody(
        docker_place, docker_place.task("busybox id -u > /winslow/output/user", image=named_users_image)
    )
    assert ended.outcome == "succeeded", ended.message
    assert docker_place.text(ended.outputs, "user") == "2345\n"


def test_root_makes_the_outputs_of_an_images_user_its_own(docker_place: Place, users_image: str) -> None:
    task = docker_place.task("mkdir /winslow/output/d; echo 1 > /winslow/output/d/f; exit 3", image=users_image)
    docker_place.serve(task)
    output = docker_place.directory(task).output
    assert {path.stat().st_uid for path in (output, *output.rglob("*"))} == {os.geteuid()}


def served_by_nobody(docker_place: Place, task: StageTask) -> StageResult:
    """The runner is nobody here, with the right to use Docker: neither root nor the image's user."""
    for path in (*docker_place.home.parents, docker_place.home):
        if path.stat().st_uid == os.getuid() and Path(tempfile.gettempdir()) in path.parents:
            path.chmod(path.stat().st_mode | 0o755)
    for path in [docker_place.home, *docker_place.home.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    docker_group = Path("/var/run/docker.sock").stat().st_gid
    runner = os.fork()
    if runner == 0:
        code = 1
        try:
            os.setgroups([docker_group])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            code = serve(docker_place.directory(task).path, docker_place.node)
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            # Or the copy of the test program would go on with the other tests.
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(runner, 0)[1]) == 0
    ended = docker_place.directory(task).result()
    assert ended is not None
    return ended


def test_the_choice_falls_on_a_process_where_docker_is_not_and_says_so(
    docker_place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    task = docker_place.task("echo ran", mode="auto")
    result = docker_place.serve(task)
    assert (result.outcome, result.mode) == ("succeeded", "process")
    assert "no Docker daemon was found" in docker_place.runner_lines(task)


def test_the_choice_falls_on_a_container_where_docker_is(docker_place: Place) -> None:
    task = docker_place.task("echo ran", mode="auto")
    assert runtime_selection.choose(task, print).mode == "docker"


def test_a_stage_without_a_command_fails_where_docker_is_not(
    docker_place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    result = docker_place.run("", mode="auto", command=(), args=("true",))
    assert result.outcome == "failed"
    for part in ("no Docker daemon was found", "Install Docker", "`command`"):
        assert part in result.message


@pytest.fixture
def entry_point_image(test_image: str, tmp_path: Path) -> Iterator[str]:
    """An image with an entry point and default arguments for it."""
    image = f"winslow-test-entry:{uuid.uuid4().hex[:8]}"
    text = f'FROM {test_image}\nENTRYPOINT ["echo", "entered"]\nCMD ["by", "default"]\n'
    (tmp_path / "Dockerfile").write_text(text)
    subprocess.run(["docker", "build", "-q", "-t", image, str(tmp_path)], capture_output=True, check=True)
    yield image
    subprocess.run(["docker", "rmi", image], capture_output=True, check=True)


@pytest.mark.parametrize(
    ("command", "args", "printed"),
    [
        ((), (), "entered by default"),
        ((), ("argued",), "entered argued"),
        (("echo", "commanded"), (), "commanded"),
        (("echo", "commanded"), ("argued",), "commanded argued"),
    ],
)
def test_a_command_replaces_the_entry_point_of_the_image_and_its_default_arguments(
    docker_place: Place, entry_point_image: str, command: tuple[str, ...], args: tuple[str, ...], printed: str
) -> None:
    task = docker_place.task("", image=entry_point_image, command=command, args=args)
    assert docker_place.serve(task).outcome == "succeeded"
    assert docker_place.lines(task) == [printed]


def test_why_docker_cannot_be_used_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead.sock"))
    for host, reason in (
        (f"unix://{tmp_path}/none.sock", "no Docker daemon was found"),
        (f"unix://{tmp_path}/dead.sock", "is not running"),
        ("ssh://elsewhere", "cannot run stages"),
    ):
        monkeypatch.setenv("DOCKER_HOST", host)
        with pytest.raises(ServiceUnavailable, match=reason):
            DockerDaemon.connect()


def test_exactly_the_allotted_gpus_are_asked_for() -> None:
    gpus = [
        NodeGpu(uuid=f"GPU-{number}", index=number, vendor="nvidia", name="L4", memory_bytes=24 << 30)
        for number in (0, 2)
    ]
    assert gpu_config(gpus) == {
        "DeviceRequests": [{"Driver": "nvidia", "DeviceIDs": ["GPU-0", "GPU-2"], "Capabilities": [["gpu"]]}]
    }
    assert gpu_config([]) == {}


def test_a_flood_of_lines_neither_stalls_the_stage_nor_loses_a_line(docker_place: Place) -> None:
    task = docker_place.task("seq 300000")
    result = docker_place.serve(task)
    assert result.outcome == "succeeded"
    assert docker_place.lines(task) == [str(number) for number in range(1, 300001)]


def test_a_stage_that_prints_faster_than_can_be_read_is_slowed_down_and_loses_nothing(
    docker_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With this, every look but the first finds the log too far behind, or caught up with.
    monkeypatch.setattr(stage_containers, "PAUSE_BEHIND_S", 0.001)
    monkeypatch.setattr(supervision, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(supervision, "TICK_S", 0.01)
    task = docker_place.task("for i in $(seq 20); do seq 5000; sleep 0.1; done")
    assert docker_place.serve(task).outcome == "succeeded"
    assert docker_place.lines(task) == [str(number) for number in range(1, 5001)] * 20
    until_now = ["docker", "events", "--since", "5m", "--until", str(int(time.time()) + 1)]
    pauses = ["--filter", "event=pause", "--filter", f"label=winslow.task={task.task_id}"]
    assert subprocess.run([*until_now, *pauses], capture_output=True, check=True).stdout != b""


def test_a_user_whom_the_image_does_not_know_has_a_home_it_can_write_to(docker_place: Place, tmp_path: Path) -> None:
    task = docker_place.task("true")
    launch = Launch(task, (), ("true",), {"HOME": "/data"}, tmp_path, tmp_path, tmp_path, {}, {}, tmp_path)
    assert container_config(launch, tmp_path, "1000:1000")["Env"] == ["HOME=/data"]
    without = replace(launch, env={})
    assert container_config(without, tmp_path, "1000:1000")["Env"] == ["HOME=/tmp"]
    assert container_config(without, tmp_path, "0:0")["Env"] == []


def test_a_machine_whose_docker_cannot_give_gpus_is_told_what_it_lacks(docker_place: Place) -> None:
    said = 'could not select device driver "nvidia" with capabilities: [[gpu]]'
    assert "install the NVIDIA Container Toolkit" in explained(said, docker_place.task("true"))


def test_a_gpu_that_docker_does_not_know_fails_the_start_with_its_reason(docker_place: Place) -> None:
    write_node_gpus(
        docker_place.home / "gpus",
        [NodeGpu(uuid="GPU-0", index=0, vendor="nvidia", name="L4", memory_bytes=24 << 30)],
    )
    result = docker_place.run("true", gpu=Gpu())
    assert (result.outcome, result.exit_code) == ("failed", None)
    assert "the stage could not start" in result.message
