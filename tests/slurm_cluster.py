"""A real Slurm cluster on this machine, whose nodes tests may kill, cut off, heal and add."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from patience import until

SCRIPT = Path(__file__).parents[1] / "deploy" / "services" / "slurm.sh"
NODES = ("s1", "s2", "s3")
"""Those that are there from the beginning: two GPUs of NVIDIA and the feature `big`; one GPU of AMD; no GPU."""


class SlurmCluster:
    """The cluster of deploy/services/slurm.sh in `directory`, which every user may enter.

    With `cgroups`, jobs are held to what they got; a machine can have only one such cluster at a time. `user` is that
    of the services, and `mounts` the file of the mount namespace in which the daemons run.
    """

    def __init__(
        self, directory: Path, *, cgroups: bool = False, user: str = "root", mounts: Path = Path("/proc/self/ns/mnt")
    ) -> None:
        self.directory = directory
        settings = {
            "WINSLOW_SLURM_DIR": str(directory),
            "WINSLOW_SLURM_CGROUPS": "yes" if cgroups else "no",
            "WINSLOW_SLURM_USER": user,
            "WINSLOW_SLURM_MOUNTS": str(mounts),
        }
        self._script_environment = os.environ | settings
        self._call("up")
        self.host = self._output("address")
        """The address by which nodes reach what listens on this machine, also on its loopback address."""
        self._cut: set[str] = set()

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which Slurm's commands on this machine find the cluster."""
        return {"SLURM_CONF": str(self.directory / "etc" / "slurm.conf")}

    def slurm(self, *words: str, given: str | None = None) -> str:
        """The output of a command of Slurm on this machine."""
        environment = os.environ | self.environment
        return subprocess.run(
            words, env=environment, input=given, capture_output=True, text=True, check=True
        ).stdout.strip()

    def on(self, node: str, *words: str) -> str:
        """The output of a command on a node."""
        return self._output("on", node, *words)

    def states(self) -> dict[str, str]:
        """The state of each node, such as `idle`, `mixed` or `down`; with `*` if it does not answer."""
        lines = self.slurm("sinfo", "--noheader", "--Node", "--Format=NodeHost:64,StateLong:32").splitlines()
        return dict(tuple(line.split()) for line in lines)

    def jobs(self) -> dict[str, tuple[str, str]]:
        """The state and the node of each job that has not ended, by its number; a job that waits has no node."""
        rows = (
            line.split(",") for line in self.slurm("squeue", "--noheader", "--all", "--format=%A,%T,%N").splitlines()
        )
        return {job: (state, node) for job, state, node in rows}

    def has_saved(self, text: str) -> bool:
        """Whether slurmctld would still know of a job with this text if it was killed now."""
        return text.encode() in (self.directory / "state" / "job_state").read_bytes()

    def runs(self, job: str) -> bool:
        """Whether the job has begun, and has not ended."""
        return self.jobs().get(job, ("", ""))[0] == "RUNNING"

    def pid(self, daemon: str) -> int:
        """The process of `ctld`, or of the slurmd of a node."""
        return int((self.directory / "run" / f"{daemon}.pid").read_text())

    def kill_slurmctld(self) -> None:
        """SIGKILL. Jobs go on."""
        self._call("kill", "ctld")

    def start_slurmctld(self) -> None:
        """Start it again, and wait until it answers."""
        self._call("ctld")
        until("slurmctld answers", self._answers)

    def kill_slurmd(self, node: str) -> None:
        """SIGKILL. Jobs of the node go on."""
        self._call("kill", node)

    def start_slurmd(self, node: str) -> None:
        """Start it again, if it does not run."""
        self._call("slurmd", node)

    def power_off(self, node: str) -> None:
        """Kill all processes of a node at once. Its containers go on: they are the machine's."""
        self._call("off", node)

    def cut(self, node: str) -> None:
        """Cut a node off the network: it reaches nothing, and nothing reaches it."""
        self._call("cut", node)
        self._cut.add(node)

    def heal(self, node: str) -> None:
        """Connect it again."""
        self._call("heal", node)
        self._cut.discard(node)

    def plug(self, node: str) -> None:
        """Add a machine to the network that is no node yet, such as `dyn1`."""
        self._call("plug", node)

    def network_of(self, node: str) -> Path:
        """The file of a node's network namespace."""
        return Path(self._output("network", node))

    def join(self, node: str, *, cpus: int = 8, memory_mb: int = 8000, gpus: str = "", feature: str = "") -> None:
        """Let a new machine join as a dynamic node; `gpus` may be `gpu:intel:1`."""
        parts = [f"CPUs={cpus} RealMemory={memory_mb}"]
        parts += [f"Gres={gpus}"] if gpus else []
        parts += [f"Feature={feature}"] if feature else []
        self.plug(node)
        self._call("join", node, " ".join(parts))

    def restore(self) -> None:
        """As at the beginning: all daemons run, no node is cut off or drained, no job is there, no node has joined."""
        for node in set(self._cut):
            self.heal(node)
        self.start_slurmctld()
        self.slurm("scancel", "--quiet", "--user=root")
        until("there is no job", lambda: not self._jobs_after_cancel())
        for node, state in self.states().items():
            if node not in NODES:
                self.power_off(node)
                self.slurm("scontrol", "delete", f"NodeName={node}")
                continue
            self.start_slurmd(node)
            if not state.startswith("idle"):
                self._resume(node)
        until("all nodes are idle", lambda: self.states() == dict.fromkeys(NODES, "idle"))

    def remove(self) -> None:
        """End everything in it, and delete its files."""
        self._call("down")

    def _jobs_after_cancel(self) -> bool:
        """Whether any job is left. The end of one may need its slurmd, or comes too early for slurmctld."""
        jobs = self.jobs()
        for state, node in jobs.values():
            if state == "COMPLETING" and node:
                self.start_slurmd(node)
        if jobs:
            self.slurm("scancel", "--quiet", "--user=root")
        return bool(jobs)

    def _resume(self, node: str) -> None:
        """Let the node work again, whatever state it is in. Slurm refuses that of one that works already."""
        subprocess.run(
            ["scontrol", "update", f"NodeName={node}", "State=RESUME"],
            env=os.environ | self.environment,
            capture_output=True,
            check=False,
        )

    def _answers(self) -> bool:
        ping = ["scontrol", "ping"]
        return b"UP" in subprocess.run(ping, env=os.environ | self.environment, capture_output=True, check=False).stdout

    def _call(self, *words: str) -> None:
        # Not captured: the daemons would hold a pipe open.
        subprocess.run([SCRIPT, *words], env=self._script_environment, stdout=subprocess.DEVNULL, check=True)

    def _output(self, *words: str) -> str:
        done = subprocess.run(
            [SCRIPT, *words], env=self._script_environment, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout.strip()


@contextmanager
def new_slurm_cluster(
    *, cgroups: bool = False, user: str = "root", mounts: Path = Path("/proc/self/ns/mnt")
) -> Iterator[SlurmCluster]:
    """A cluster of a test's own. It starts in two seconds."""
    # A short path that munge's own user may enter: the directories of pytest are root's alone.
    directory = Path(tempfile.mkdtemp(prefix="wslurm-", dir="/var/tmp"))
    directory.chmod(0o755)
    cluster = SlurmCluster(directory / "c", cgroups=cgroups, user=user, mounts=mounts)
    try:
        yield cluster
    finally:
        cluster.remove()
        directory.rmdir()


@pytest.fixture(scope="session")
def session_slurm_cluster() -> Iterator[SlurmCluster]:
    """One for all tests of a process. Mark the tests `slurm`."""
    with new_slurm_cluster() as cluster:
        yield cluster


@pytest.fixture
def slurm_cluster(session_slurm_cluster: SlurmCluster) -> Iterator[SlurmCluster]:
    """The cluster of this process; whatever the test does to it is undone. Mark the test `slurm`."""
    yield session_slurm_cluster
    session_slurm_cluster.restore()
