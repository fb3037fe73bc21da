"""A stage as the Docker Engine API wants it: which limits, mounts and devices a container gets. Asks no daemon."""

from __future__ import annotations

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
)
PIDS_LIMIT = 16384
"""Stops a fork bomb; far above what video and GPU programs start."""
NANO = 1_000_000_000
LOG_CONFIG = {
    # Of the drivers whose log can be read again after a crash, `local` is the fastest: 750,000 lines a second against
    # 420,000 of json-file, in 75 % of the space. A reader that falls behind by more than one file loses lines, hence
    # two large files, and a stage that is paused before its reader is that far behind.
    "Type": "local",
    "Config": {"max-size": "1g", "max-file": "2", "compress": "false"},
}


def container_name(task_id: str) -> str:
    """The name that makes a second container of the same attempt impossible."""
    return f"winslow-{task_id}"


def container_labels(task: StageTask, home: Path) -> dict[str, str]:
    """By which containers are found. `home` is the directory of all task directories of this installation."""
    return {
        "winslow.task": task.task_id,
        "winslow.project": task.project,
        "winslow.stage": task.stage,
        "winslow.run": task.run_id,
        "winslow.home": str(home),
    }


def container_config(launch: Launch, home: Path, user: str) -> dict[str, Any]:
    """The body of `POST /containers/create`. `user` is empty to keep the image's."""
    task = launch.task
    # A user whom the image does not know has / as its home there, where nothing can be cached.
    home_of_strangers = {"HOME": "/tmp"} if user and not user.startswith("0:") else {}  # noqa: S108  # the container's
    return {
        "Image": task.image,
        "Cmd": list(launch.args) or None,
        "Env": [f"{name}={value}" for name, value in (home_of_strangers | launch.env).items()],
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
            # The same number for memory and memory plus swap: no swap.
            "MemorySwap": task.memory_bytes or 0,
            "ShmSize": task.shm_size_bytes or 0,
            "PidsLimit": PIDS_LIMIT,
            "LogConfig": LOG_CONFIG,
            **gpu_config(launch.gpus),
        },
    }


def ownership_name(task_id: str) -> str:
    """The name of the short-lived container that hands the outputs over to the runner's user."""
    return f"{container_name(task_id)}.chown"


def ownership_config(task: StageTask, directory: TaskDirectory, owner: str) -> dict[str, Any]:
    """A container that makes `owner` (`uid:gid`) own what was written; of the stage's image: that is there for sure."""
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
    """The inputs and resources read-only, output and checkpoint writable. All four directories are always there."""
    shown = [
        *presented(PLACES.input, launch.inputs, launch.nothing),
        *presented(PLACES.resources, launch.resources, launch.nothing),
    ]
    return [
        *(bind(source, target, read_only=True) for target, source in shown),
        bind(launch.output, PLACES.output, read_only=False),
        bind(launch.checkpoint, PLACES.checkpoint, read_only=False),
    ]


def presented(place: str, directories: dict[str, Path], nothing: Path) -> list[tuple[str, Path]]:
    """Where each directory is seen; an empty one where there is none."""
    if not directories:
        return [(place, nothing)]
    return [(f"{place}/{name}", path) for name, path in directories.items()]


def bind(source: Path, target: str, *, read_only: bool) -> dict[str, Any]:
    """One mount. Docker refuses a source that is not there instead of making it."""
    return {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": read_only}


def gpu_config(gpus: Sequence[NodeGpu]) -> dict[str, Any]:
    """Exactly these GPUs: NVIDIA's by their uuids through its runtime, the others' as device files."""
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
    """The groups that may open the device files, so that a container without root may as well."""
    files = [file for device in devices for file in ([device] if not device.is_dir() else device.iterdir())]
    return {str(file.stat().st_gid) for file in files if file.exists()}
