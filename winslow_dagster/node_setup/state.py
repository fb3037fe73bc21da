"""What Slurm says about this machine as a node, and its draining and leaving."""

from __future__ import annotations

import os

from winslow_dagster.errors import EngineError, NotFound, ProjectConflict
from winslow_dagster.node_setup import places, services
from winslow_dagster.node_setup.programs import run
from winslow_dagster.pipelines.model.frozen import Frozen

SEPARATOR = "\x1f"


class NodeState(Frozen):
    """A node as slurmctld knows it."""

    state: str
    reason: str = ""

    @property
    def answers(self) -> bool:
        """Whether its slurmd has registered, and answers."""
        return not self.state.endswith("*") and not self.state.startswith(("down", "unknown", "future"))


def node_state(name: str) -> NodeState | None:
    """The state of the node; None if Slurm does not know it. Raises NotFound, EngineError."""
    require_joined()
    line = run("sinfo", "--noheader", "--Node", f"--nodes={name}", f"--format=%T{SEPARATOR}%E")
    if not line:
        return None
    state, _, reason = line.splitlines()[0].partition(SEPARATOR)
    return NodeState(state=state, reason="" if reason == "none" else reason)


def require_joined() -> None:
    """Raise NotFound on a machine without the configuration of a cluster."""
    if not places.SLURM_CONF.exists() and "SLURM_CONF" not in os.environ:
        raise NotFound(
            "this machine belongs to no cluster",
            where=str(places.SLURM_CONF),
            remedy="Join one: winslow node join FILE",
        )


def jobs_here(name: str) -> tuple[str, ...]:
    """The names of the jobs that run on the node. Raises EngineError."""
    return tuple(run("squeue", "--noheader", f"--nodelist={name}", "--format=%j").splitlines())


def drain(name: str, reason: str) -> None:
    """Let the node take no new job. Raises NotFound, EngineError."""
    require_joined()
    run("scontrol", "update", f"NodeName={name}", "State=DRAIN", f"Reason={reason or 'drained on the machine itself'}")


def resume(name: str) -> None:
    """Let it take jobs again. Raises NotFound, EngineError."""
    require_joined()
    run("scontrol", "update", f"NodeName={name}", "State=RESUME")


def leave(name: str, *, end_jobs: bool) -> tuple[str, ...]:
    """Take this machine out of the cluster, and delete what joining wrote. Returns what was done.

    Raises ProjectConflict if jobs run here and `end_jobs` is False, EngineError.
    """
    done: list[str] = []
    known = node_state(name) is not None
    if known and (jobs := jobs_here(name)):
        if not end_jobs:
            drain(name, "leaves the cluster")
            raise ProjectConflict(
                f"{len(jobs)} stages run here: {', '.join(jobs)}",
                where=name,
                remedy="It takes no new ones now. Leave again once they have ended, or now with --end-stages",
            )
        run("scancel", f"--nodelist={name}")
        done.append(f"ended {len(jobs)} stages; they start elsewhere")
    services.stop_services()
    done.append("stopped slurmd")
    if known:
        try:
            run("scontrol", "delete", f"NodeName={name}")
            done.append(f"{name} is no node of the cluster any more")
        except EngineError as error:
            done.append(f"Slurm still knows {name} ({error.what}); it is down there")
    for path in places.OURS:
        path.unlink(missing_ok=True)
    done.append("deleted the configuration; munge's key, the user, the packages and the node's directory stay")
    return tuple(done)
