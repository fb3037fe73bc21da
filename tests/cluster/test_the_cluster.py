"""What Slurm itself does, with the shipped configuration, when machines and programs go away."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import until, until_there
from receiver import Receiver
from slurm_cluster import SlurmCluster, new_slurm_cluster

pytestmark = pytest.mark.slurm

EPILOG = Path(__file__).parents[2] / "deploy" / "slurm" / "epilog"


def submit(cluster: SlurmCluster, script: str, *options: str) -> str:
    """The number of a new job."""
    words = ("sbatch", "--parsable", "--nodes=1", "--ntasks=1", "--export=NONE", "--output=/dev/null", *options)
    return cluster.slurm(*words, given=f"#!/bin/sh\n{script}\n")


def container(image: str, job: str, tasks_dir: Path) -> str:
    labels = ("--label", f"winslow.slurm_job={job}", "--label", f"winslow.home={tasks_dir}")
    words = ("docker", "run", "--detach", "--network=none", *labels, image, "sleep", "1000")
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def exists(name: str) -> bool:
    return subprocess.run(["docker", "inspect", name], capture_output=True, check=False).returncode == 0


@pytest.fixture
def containers() -> Iterator[list[str]]:
    """Names of containers that are removed at the end, whatever the test found."""
    names: list[str] = []
    yield names
    subprocess.run(["docker", "rm", "--force", *names], capture_output=True, check=False)


@pytest.mark.parametrize(
    ("options", "node", "gpus"),
    [(("--gres=gpu:amd:1",), "s2", 1), (("--gres=gpu:nvidia:2",), "s1", 2), (("--constraint=big",), "s1", 0)],
)
def test_a_job_runs_where_what_it_asks_for_is(
    slurm_cluster: SlurmCluster, tmp_path: Path, options: tuple[str, ...], node: str, gpus: int
) -> None:
    report = tmp_path / "report"

    submit(slurm_cluster, f'echo "$(hostname) $SLURM_JOB_GPUS" >{report}.new && mv {report}.new {report}', *options)

    name, *numbers = until_there(report).read_text().split()
    assert name == node
    assert len([number for number in ",".join(numbers).split(",") if number]) == gpus


def test_nodes_reach_what_listens_on_the_loopback_address_of_the_machine(slurm_cluster: SlurmCluster) -> None:
    with Receiver() as receiver:
        url = f"http://{slurm_cluster.host}:{receiver.port}/"
        body = b'{"title": "from a node"}'
        program = f"import urllib.request as r; r.urlopen({url!r}, data={body!r}).close()"

        slurm_cluster.on("s1", sys.executable, "-c", program)

    assert receiver.titles == ["from a node"]


@pytest.mark.docker
def test_no_container_outlives_its_job(
    slurm_cluster: SlurmCluster, test_image: str, tmp_path: Path, containers: list[str]
) -> None:
    job, other = (submit(slurm_cluster, "sleep 1000", f"--nodelist={node}") for node in ("s1", "s2"))
    containers += [container(test_image, each, tmp_path / "tasks") for each in (job, other)]
    until("the job runs", lambda: slurm_cluster.runs(job))

    slurm_cluster.slurm("scancel", job)

    until("its container is gone", lambda: not exists(containers[0]))
    assert exists(containers[1])


@pytest.mark.docker
def test_a_container_whose_job_ended_while_slurmd_was_dead_is_reaped_and_no_other(
    slurm_cluster: SlurmCluster, test_image: str, tmp_path: Path, containers: list[str]
) -> None:
    """The names of two nodes' directories keep their containers apart: here they share a Docker daemon."""
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    running = submit(slurm_cluster, "sleep 1000")
    until("the job runs", lambda: slurm_cluster.runs(running))
    ended = str(int(running) + 500)
    containers += [
        container(test_image, ended, here / "tasks"),
        container(test_image, running, here / "tasks"),
        container(test_image, ended, elsewhere / "tasks"),
    ]

    def reap(**settings: str) -> None:
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **slurm_cluster.environment, **settings}
        subprocess.run(["sh", str(EPILOG), "reap", str(here)], env=environment, capture_output=True, check=True)

    (tmp_path / "slurm.conf").write_text("ClusterName=none\n")
    reap(SLURM_CONF=str(tmp_path / "slurm.conf"))
    assert list(map(exists, containers)) == [True, True, True]  # Slurm has not said that a job has ended.

    reap()
    assert list(map(exists, containers)) == [False, True, True]


def test_a_machine_joins_and_works_while_others_wait(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    waiting = [submit(slurm_cluster, "sleep 1000", "--cpus-per-task=8") for _ in range(10)]
    report = tmp_path / "report"

    slurm_cluster.join("dyn1", gpus="gpu:intel:1", feature="fresh")

    until("it works on what waited", lambda: ("RUNNING", "dyn1") in slurm_cluster.jobs().values())
    job = submit(slurm_cluster, f"hostname >{report}", "--gres=gpu:intel:1", "--constraint=fresh", "--priority=1000000")
    slurm_cluster.slurm("scancel", *waiting)
    until("its job has run", lambda: job not in slurm_cluster.jobs())
    assert report.read_text() == "dyn1\n"


@pytest.mark.slow
def test_a_job_outlives_a_cut_and_the_death_of_every_daemon(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    begun, ends, report = tmp_path / "begun", tmp_path / "ends", tmp_path / "report"
    script = f"touch {begun}; until [ -e {ends} ]; do sleep 0.1; done; echo x >>{report}"
    job = submit(slurm_cluster, script, "--nodelist=s3")
    until_there(begun)
    # As an agent does first of all: slurmctld then saves its state, and knows the job when it is back.
    slurm_cluster.slurm("scontrol", "update", f"JobId={job}", f"Comment=saved {job}")
    until("it is saved", lambda: slurm_cluster.has_saved(f"saved {job}"))

    slurm_cluster.cut("s3")
    slurm_cluster.heal("s3")
    slurm_cluster.kill_slurmd("s3")
    slurm_cluster.kill_slurmctld()
    slurm_cluster.start_slurmctld()
    slurm_cluster.start_slurmd("s3")
    ends.touch()

    until("it has ended", lambda: job not in slurm_cluster.jobs())
    assert report.read_text() == "x\n"


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/sys/fs/cgroup/memory").is_dir(), reason="Slurm needs systemd for control groups of version 2"
)
def test_a_job_is_held_to_its_memory_and_its_gpus(tmp_path: Path) -> None:
    """As the shipped files say."""
    report = tmp_path / "report"
    with new_slurm_cluster(cgroups=True) as cluster:
        gpus = cluster.directory / "dev"
        script = (
            f"for gpu in gpu0 gpu1; do head -c 1 {gpus}/$gpu >/dev/null && echo $gpu; done >{report}.new; "
            f"{sys.executable} -c 'bytearray(200 << 20)' || echo killed >>{report}.new; mv {report}.new {report}"
        )
        submit(cluster, script, "--gres=gpu:nvidia:1", "--mem=60M")
        until_there(report)

    assert report.read_text().split() == ["gpu0", "killed"]
