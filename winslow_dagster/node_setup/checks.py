"""What this machine needs to work as a node, and whether it has it."""

from __future__ import annotations

from collections.abc import Callable

from winslow_dagster.engines.slurm.node_facts import NodeFacts
from winslow_dagster.errors import WinslowError
from winslow_dagster.node_setup import places, services
from winslow_dagster.node_setup.state import jobs_here, node_state
from winslow_dagster.pipelines.model.frozen import Frozen


class Check(Frozen):
    """One finding, in words."""

    name: str
    ok: bool
    detail: str


def checks(name: str) -> tuple[Check, ...]:
    """All of them. None depends on another one."""
    return tuple(
        _checked(title, look)
        for title, look in (
            ("node file", _node_file),
            ("munged", lambda: _daemon("munged")),
            ("slurmd", lambda: _daemon("slurmd")),
            ("Slurm", lambda: _slurm(name)),
            ("Docker", _docker),
            ("GPUs", _gpus),
        )
    )


def _checked(title: str, look: Callable[[], tuple[bool, str]]) -> Check:
    try:
        ok, detail = look()
    except WinslowError as error:
        ok, detail = False, str(error)
    return Check(name=title, ok=ok, detail=detail)


def _node_file() -> tuple[bool, str]:
    facts = NodeFacts.read(places.NODE_FILE)
    return True, f"{places.NODE_FILE}: stages work in {facts.node_dir} for {facts.control_plane_url}"


def _daemon(name: str) -> tuple[bool, str]:
    process = services.daemon(name)
    return (
        (False, "it does not run; `winslow node join` starts it")
        if process is None
        else (True, f"process {process.pid}")
    )


def _slurm(name: str) -> tuple[bool, str]:
    state = node_state(name)
    if state is None:
        return False, f"the cluster has no node {name}"
    jobs = jobs_here(name)
    runs = f"; {len(jobs)} stages run here" if jobs else ""
    reason = f" ({state.reason})" if state.reason else ""
    return state.answers, f"{name} is {state.state}{reason}{runs}"


def _docker() -> tuple[bool, str]:
    from winslow_dagster.stages.launchers.docker.containers import DockerDaemon

    return True, f"API {DockerDaemon.connect().api_version}"


def _gpus() -> tuple[bool, str]:
    """Whether the GPUs are those with which the machine joined: Slurm gives them by number."""
    from winslow_dagster.engines.hardware import detect_gpus

    joined = {gpu.uuid: gpu.name for gpu in NodeFacts.read(places.NODE_FILE).gpus}
    report = detect_gpus()
    missing = joined.keys() - {gpu.uuid for gpu in report.gpus}
    more = [gpu.name for gpu in report.gpus if gpu.device_files and gpu.uuid not in joined]
    parts = [f"{joined[uuid]} ({uuid}) is not found any more" for uuid in sorted(missing)]
    parts += [f"{gpu} has been added: join again to use it" for gpu in more]
    return not missing, "; ".join((*parts, *report.notes)) or ", ".join(joined.values()) or "none"
