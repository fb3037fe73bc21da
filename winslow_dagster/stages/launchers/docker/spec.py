"""Builds the container configuration of a stage: limits, mounts, devices. Contacts no daemon."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from winslow_dagster.stages.launchers.base import Launch, Places
from winslow_dagster.stages.launchers.stage_variables import granted_cpus
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import NodeGpu, StageTask

PLACES = Places(
    input="/winslow/input",
    resources="/winslow/resources",
    output="/winslow/output",
    checkpoint="/winslow/checkpoint",
    secrets="/winslow/secrets",
)
PIDS_LIMIT = 16384
"""Stops a fork bomb; far above the needs of video and GPU programs."""
NANO = 1_000_000_000
LOG_CONFIG: dict[str, Any] = {
    # Of the drivers whose log can be read again after a crash, `local` is the fastest: 750,000 lines per second against
    # 420,000 for json-file, in 75 % of the space. A reader that falls behind by more than one file loses lines: hence
    # two large files, and the stage is paused before its reader is that far behind.
    "Type": "local",
    "Config": {"max-size": "1g", "max-file": "2", "compress": "false"},
}


def container_name(task_id: str) -> str:
    """The name of an attempt's container. Being unique, it makes a second container impossible."""
    return f"winslow-{task_id}"


def container_labels(task: StageTask, home: Path) -> dict[str, str]:
    """The labels by which containers are found. `home` is this installation's directory of task directories."""
    return {
        "winslow.task": task.task_id,
        "winslow.project": task.project,
        "winslow.stage": task.stage,
        "winslow.run": task.run_id,
        "winslow.home": str(home),
        # By this, the cluster removes the containers of a job that has ended: they are no children of it.
        **({"winslow.slurm_job": job} if (job := os.environ.get("SLURM_JOB_ID")) else {}),
    }


def job_node() -> str:
    """The node of a cluster on which this process is part of a job; empty on any other machine."""
    return os.environ.get("SLURMD_NODENAME", "")


def container_config(launch: Launch, home: Path, user: str) -> dict[str, Any]:
    """The body of `POST /containers/create`. An empty `user` keeps the image's user."""
    task = launch.task
    # A user unknown to the image would get / as its home directory, which is not writable.
    # `docker inspect` shows these values, to those who may use Docker.
    env = launch.env | {name: (launch.secrets / name).read_bytes().decode() for name in launch.secrets_in_env}
    home_of_unknown_user = {"HOME": "/tmp"} if user and not user.startswith("0:") else {}  # noqa: S108  # the container's
    return {
        "Image": task.image,
        # None keeps the image's own. With an entry point and no arguments, Docker drops the image's default arguments.
        "Entrypoint": list(launch.command) or None,
        "Cmd": list(launch.args) or None,
        "Env": [f"{name}={value}" for name, value in (home_of_unknown_user | env).items()],
        "User": user,
        "Labels": container_labels(task, home),
        "HostConfig": {
            "Mounts": mounts(launch),
            "NetworkMode": "bridge" if task.network else "none",
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "Init": True,
            "NanoCpus": int(granted_cpus(task) * NANO),
            "Memory": task.memory_bytes or 0,
            # Memory plus swap equals memory: no swap.
            "MemorySwap": task.memory_bytes or 0,
            "ShmSize": task.shm_size_bytes or 0,
            "PidsLimit": PIDS_LIMIT,
            "LogConfig": LOG_CONFIG,
            **gpu_config(launch.gpus),
        },
    }


def ownership_name(task_id: str) -> str:
    """The name of the short-lived container that changes the owner of the outputs."""
    return f"{container_name(task_id)}.chown"


def ownership_config(task: StageTask, directory: TaskDirectory, owner: str) -> dict[str, Any]:
    """A container that makes `owner` (`uid:gid`) the owner of the outputs. Uses the stage's image, which is present."""
    return {
        "Image": task.image,
        "Entrypoint": ["chown", "-R", owner, PLACES.output, PLACES.checkpoint],
        "Cmd": [],
        "User": "0:0",
        "Labels": container_labels(task, directory.path.parent),
        "HostConfig": {
            "Mounts": [
                bind(directory.output, PLACES.output, read_only=False),
                bind(directory.checkpoint, PLACES.checkpoint, read_only=False),
            ],
            "NetworkMode": "none",
            "CapDrop": ["ALL"],
            "CapAdd": ["CHOWN", "DAC_OVERRIDE"],
            "SecurityOpt": ["no-new-privileges"],
        },
    }


def mounts(launch: Launch) -> list[dict[str, Any]]:
    """Inputs, resources and secrets read-only, output and checkpoint writable. All directories always exist."""
    read_only = [
        *targets(PLACES.input, launch.inputs, launch.nothing),
        *targets(PLACES.resources, launch.resources, launch.nothing),
    ]
    return [
        *(bind(source, target, read_only=True) for target, source in read_only),
        bind(launch.secrets, PLACES.secrets, read_only=True),
        bind(launch.output, PLACES.output, read_only=False),
        bind(launch.checkpoint, PLACES.checkpoint, read_only=False),
    ]


def targets(parent: str, directories: dict[str, Path], nothing: Path) -> list[tuple[str, Path]]:
    """The path in the container of each directory; if there are none, `parent` itself is an empty directory."""
    if not directories:
        return [(parent, nothing)]
    return [(f"{parent}/{name}", path) for name, path in directories.items()]


def bind(source: Path, target: str, *, read_only: bool) -> dict[str, Any]:
    """One mount. Docker rejects a missing source instead of creating it."""
    return {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": read_only}


def gpu_config(gpus: Sequence[NodeGpu]) -> dict[str, Any]:
    """The configuration for exactly these GPUs: NVIDIA's by UUID, others as device files."""
    config: dict[str, Any] = {}
    if nvidia := [gpu.uuid for gpu in gpus if gpu.vendor == "nvidia"]:
        config["DeviceRequests"] = [{"Driver": "nvidia", "DeviceIDs": nvidia, "Capabilities": [["gpu"]]}]
    devices = [Path("/dev/kfd")] if any(gpu.vendor == "amd" for gpu in gpus) else []
    devices += [Path("/dev/dri")] if any(gpu.vendor in {"amd", "intel"} for gpu in gpus) else []
    if devices:
        config["Devices"] = [
            {"PathOnHost": str(path), "PathInContainer": str(path), "CgroupPermissions": "rw"} for path in devices
        ]
        config["GroupAdd"] = sorted(device_groups(devices))
    return config


def device_groups(devices: Sequence[Path]) -> set[str]:
    """The groups that may open the device files, for containers that do not run as root."""
    files = [file for device in devices for file in ([device] if not device.is_dir() else device.iterdir())]
    return {str(file.stat().st_gid) for file in files if file.exists()}
