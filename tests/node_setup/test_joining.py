"""A machine joins a real cluster, works, drains and leaves; and each fault is told in words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from new_machine import NewMachine, new_machine
from patience import until, until_there
from receiver import Receiver
from slurm_cluster import SlurmCluster

from winslow_dagster.node_setup.invitation import Invitation, invite

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


@pytest.fixture
def machine(slurm_cluster: SlurmCluster, tmp_path: Path) -> Iterator[NewMachine]:
    with new_machine(slurm_cluster, "dyn1", tmp_path) as machine:
        yield machine


@pytest.fixture
def invitation(slurm_cluster: SlurmCluster, tmp_path: Path) -> Iterator[Invitation]:
    """Of this cluster; without the place of its munge's socket, as in any other cluster."""
    etc = slurm_cluster.directory / "etc"
    conf = tmp_path / "slurm.conf"
    conf.write_text(re.sub("^AuthInfo=.*\n", "", (etc / "slurm.conf").read_text(), flags=re.MULTILINE))
    with Receiver() as receiver:
        yield invite(
            f"http://{slurm_cluster.host}:{receiver.port}",
            slurm_conf=conf,
            munge_key=slurm_cluster.directory / "munge" / "key",
            environment={},
        )


def test_a_machine_joins_gets_work_drains_and_leaves(
    slurm_cluster: SlurmCluster, machine: NewMachine, invitation: Invitation, tmp_path: Path
) -> None:
    for verb in ("drain", "resume", "leave"):
        before = machine.winslow("node", verb)
        assert (before.returncode, "this machine belongs to no cluster" in before.stderr) == (4, True), before.stderr
    file = tmp_path / "invitation"
    invitation.write(file)
    node_dir = tmp_path / "node"
    words = ("node", "join", str(file), "--tag", "fresh", "--node-dir", str(node_dir), "--cpus", "4")

    joined = machine.winslow(*words)

    assert (joined.returncode, joined.stdout) == (0, f"dyn1 is a node of {invitation.cluster}; its state is idle\n"), (
        joined.stderr
    )
    assert "found 4 CPUs and amd 0x744c (amd)" in joined.stderr
    assert f"{invitation.control_plane_url} answers" in joined.stderr

    passed_on = tmp_path / "passed_on"
    url = invitation.control_plane_url
    assert machine.winslow("node", "invite", str(passed_on), "--url", url).returncode == 0
    assert Invitation.read(passed_on).model_copy(update={"environment": {}}) == invitation
    assert "it is not said where machines reach the web server" in machine.winslow("node", "invite", "/x").stderr

    report = tmp_path / "report"
    script = f"#!/bin/sh\necho $(hostname) $SLURM_JOB_GPUS >{report}.new && mv {report}.new {report}\n"
    wanted = ("--nodes=1", "--ntasks=1", "--gres=gpu:amd:1", "--constraint=fresh", "--output=/dev/null")
    slurm_cluster.slurm("sbatch", *wanted, given=script)
    assert until_there(report).read_text() == "dyn1 0\n"

    again = machine.winslow(*words, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["state"] == "idle"
    assert "munge has the cluster's key" in json.loads(again.stdout)["done"]

    status = machine.winslow("node", "status", "--json")
    checks = {check["name"]: check for check in json.loads(status.stdout)["checks"]}
    assert checks["Slurm"] == {"name": "Slurm", "ok": True, "detail": "dyn1 is idle"}
    assert checks["GPUs"]["ok"]
    assert checks["munged"]["ok"]
    assert checks["slurmd"]["ok"]

    assert machine.winslow("node", "drain", "--reason", "new disks").returncode == 0
    assert slurm_cluster.states()["dyn1"] == "drained"
    assert "dyn1 is drained (new disks)" in machine.winslow("node", "status").stdout
    assert machine.winslow("node", "resume").returncode == 0
    until("it takes stages", lambda: slurm_cluster.states()["dyn1"] == "idle")

    job = slurm_cluster.slurm(
        "sbatch", "--parsable", "--output=/dev/null", "-J", "busy", "-w", "dyn1", given="#!/bin/sh\nsleep 1000\n"
    )
    until("it runs", lambda: slurm_cluster.runs(job))
    refused = machine.winslow("node", "leave")
    assert refused.returncode != 0
    assert "1 stages run here: busy" in refused.stderr
    assert slurm_cluster.states()["dyn1"] == "draining"

    left = machine.winslow("node", "leave", "--end-stages")
    assert left.returncode == 0, left.stderr
    assert "dyn1 is no node of the cluster any more" in left.stdout
    assert "dyn1" not in slurm_cluster.states()
    assert "FAIL  Slurm" in machine.winslow("node", "status").stdout


def test_why_a_machine_cannot_join_is_told_in_words(
    slurm_cluster: SlurmCluster, machine: NewMachine, invitation: Invitation, tmp_path: Path
) -> None:
    def refused(**changes: object) -> str:
        file = tmp_path / "invitation"
        file.unlink(missing_ok=True)
        invitation.model_copy(update=changes).write(file)
        done = machine.winslow("node", "join", str(file), "--node-dir", str(tmp_path / "node"))
        assert done.returncode not in {0, 1}, done.stderr
        return done.stderr

    assert "the control plane 0.0.1; expected the same version" in refused(winslow_version="0.0.1")
    assert "expected the same version" in refused(slurm_version="19.05.2")
    assert "this machine has a user daemon with the number 1" in refused(user="daemon", uid=4711)
    assert "which is daemon's on this machine" in refused(user="nobody-of-this-name", uid=1)
    other_key = "YWJj" * 100
    assert "it does not accept what this machine signs" in refused(munge_key=other_key)
    conf = invitation.slurm_conf
    assert "it does not answer" in refused(slurm_conf=re.sub("SlurmctldPort=.*", "SlurmctldPort=9", conf))

    assert machine.run("sh", "-c", "echo ClusterName=theirs >/etc/slurm/slurm.conf").returncode == 0
    assert "this machine belongs to the cluster theirs" in refused()
    # Not through the link that it is: where that leads is this machine's own.
    assert machine.run("sh", "-c", "rm /etc/os-release && echo ID=fedora >/etc/os-release").returncode == 0
    assert "expected Debian or Ubuntu" in refused()
    assert "dyn1" not in slurm_cluster.states()
