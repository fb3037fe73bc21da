"""A control plane and its stages under a user without privileges, as docs/cluster.md sets them up."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from installation import environ, free_port
from other_user import ROOT, USER, OtherUser, other_user
from patience import until
from slurm_cluster import NODES, SlurmCluster, new_slurm_cluster

from winslow_dagster.engines.slurm.node_facts import NodeFacts
from winslow_dagster.services import Services
from winslow_dagster.settings import Settings
from winslow_dagster.storage.directories import remove_directory

pytestmark = [pytest.mark.docker, pytest.mark.slurm, pytest.mark.slow]

PYTHON = ROOT / ".venv" / "bin" / "python"
PIPELINE = """\
name: both
command: [/bin/sh, -c]
stages:
  - name: first
    image: {image}
    args: ["awk '/^Uid:/ {{ print $2 }}' /proc/self/status >$WINSLOW_OUTPUT_DIR/uid"]
    outputs: [uid]
  - name: in_container
    image: {image}
    after: [first]
    args: ['echo begun; echo >$WINSLOW_OUTPUT_DIR/begun; sleep 1000']
  - name: as_process
    after: [first]
    args: ['echo begun; echo >$WINSLOW_OUTPUT_DIR/begun; sleep 1000']
"""
WAITING = ("in_container", "as_process")


@dataclass(frozen=True)
class ControlPlane:
    """All that people do with it is a command of the user."""

    user: OtherUser
    settings: Settings
    environment: dict[str, str]

    def winslow(self, *words: str) -> Any:
        """What a command prints as JSON."""
        return json.loads(self._output(*words, "--json"))

    def log(self, stage: str) -> list[str]:
        """The lines that a stage has printed so far."""
        lines = map(json.loads, self._output("logs", "ulm", stage, "--json").splitlines())
        return [line["text"] for line in lines if line["stream"] == "stdout"]

    def _output(self, *words: str) -> str:
        command = self.user.words(str(ROOT / ".venv" / "bin" / "winslow"), *words)
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def user() -> Iterator[OtherUser]:
    place = Path(tempfile.mkdtemp(prefix="wuser-", dir="/var/tmp"))
    place.chmod(0o755)
    try:
        with other_user(place) as user:
            yield user
    finally:
        remove_directory(place)


@pytest.fixture
def cluster(user: OtherUser) -> Iterator[SlurmCluster]:
    with new_slurm_cluster(user=USER, mounts=user.mounts) as cluster:
        yield cluster


@pytest.fixture
def control_plane(cluster: SlurmCluster, user: OtherUser, test_image: str) -> Iterator[ControlPlane]:
    port = free_port()
    url = f"http://{cluster.host}:{port}"
    pipelines = user.home / "pipelines"
    pipelines.mkdir()
    (pipelines / "both.yaml").write_text(PIPELINE.format(image=test_image))
    for node in NODES:
        file = user.home / f"{node}.toml"
        NodeFacts(node_dir=user.home / "nodes" / node, python=PYTHON, control_plane_url=url).write(file)
        os.chown(file, user.uid, -1)
    (user.home / "nodes").mkdir()
    os.chown(user.home / "nodes", user.uid, -1)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WINSLOW_")}
    environment = (
        kept
        | cluster.environment
        | {
            "HOME": str(user.home),
            "TMPDIR": str(user.home),
            "WINSLOW_HOME": str(user.home / "home"),
            "WINSLOW_PIPELINES_DIR": str(pipelines),
            "WINSLOW_PORT": str(port),
            "WINSLOW_ENGINE": "slurm",
            "WINSLOW_CONTROL_PLANE_URL": url,
            "WINSLOW_SLURM_NODE_FILE": str(user.home / "{node}.toml"),
        }
    )
    settings, log = Settings.read(environment), user.home / "services.log"
    with log.open("wb") as output:
        command = user.words(str(PYTHON), "-m", "winslow_dagster.services")
        services = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        Services(settings).wait_until_ready(services, log)
        yield ControlPlane(user, settings, environment)
    finally:
        services.terminate()
        services.wait()


def test_stages_run_are_committed_and_cancelled_and_leave_nothing(
    control_plane: ControlPlane, cluster: SlurmCluster
) -> None:
    user, nodes = control_plane.user, control_plane.user.home / "nodes"
    control_plane.winslow("run", "both", "--project", "ulm", "--detach")
    until("two stages run", lambda: len(list(nodes.glob("*/tasks/*/output/begun"))) == len(WAITING))
    for name in WAITING:
        until("its log is here", lambda name=name: control_plane.log(name) == ["begun"])

    (file,) = control_plane.winslow("files", "ulm")["files"]
    assert Path(file["local_path"]).read_text() == f"{user.uid}\n"
    assert len(containers(user.home)) == 1
    assert cluster.slurm("squeue", "--noheader", "--format=%u").split() == [USER, USER]

    ended = control_plane.winslow("cancel", "ulm")

    states = {each["stage"]: each["state"] for each in ended["stages"]}
    assert states == {"first": "succeeded"} | dict.fromkeys(WAITING, "cancelled")
    until("no job is left", lambda: not cluster.jobs())
    assert containers(user.home) == []
    assert list(nodes.glob("*/tasks/*")) == []
    assert stage_processes() == []
    made = {path: path.lstat().st_uid for top in (user.home / "home", nodes) for path in (top, *top.rglob("*"))}
    assert [path for path, owner in made.items() if owner != user.uid] == []


def containers(home: Path) -> list[str]:
    """Those of the nodes of this home, running or not."""
    words = ["docker", "ps", "--all", "--format", '{{.Label "winslow.home"}}', "--filter", "label=winslow.home"]
    found = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    return [label for label in found if label.startswith(f"{home}/")]


def stage_processes() -> list[psutil.Process]:
    """Programs of stages, and their agents, of the user."""
    names = {"WINSLOW_AGENT_TASK", "WINSLOW_TASK_ID"}
    own = (process for process in psutil.process_iter(["username"]) if process.info["username"] == USER)
    return [process for process in own if names & environ(process).keys()]
