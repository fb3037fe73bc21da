"""What Docker and CDI offer containers on this machine, and whether containers can use its GPUs."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.stages.task.model import NodeGpu

CDI_DIRS = (Path("/etc/cdi"), Path("/var/run/cdi"))
"""Where the Container Device Interface has its specifications."""
NO_NVIDIA_RUNTIME = (
    "containers cannot use the NVIDIA GPUs: Docker has no runtime for them; install nvidia-container-toolkit, "
    "then run `nvidia-ctk runtime configure --runtime=docker` and restart Docker"
)
NVIDIA_HOOK = "nvidia-container-runtime-hook"
"""With this program, Docker itself hands NVIDIA's GPUs to containers."""


@dataclass(frozen=True, slots=True)
class ContainerGpus:
    """Docker's runtimes, the devices of CDI, and what keeps containers from using GPUs."""

    docker: str = ""
    """The container runtime and its version; empty if there is none."""
    runtimes: tuple[str, ...] = ()
    cdi_devices: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def look(gpus: Collection[NodeGpu], cdi_dirs: Sequence[Path] = CDI_DIRS) -> ContainerGpus:
    """What this machine offers containers now."""
    from winslow_dagster.stages.launchers.docker.containers import DockerDaemon

    devices, notes = read_cdi(cdi_dirs)
    try:
        daemon = DockerDaemon.connect()
        runtimes = daemon.runtimes()
    except ServiceUnavailable:
        return ContainerGpus(cdi_devices=devices, notes=notes)
    has_nvidia = any(gpu.vendor == "nvidia" for gpu in gpus)
    if has_nvidia and "nvidia" not in runtimes and shutil.which(NVIDIA_HOOK) is None:
        notes += (NO_NVIDIA_RUNTIME,)
    return ContainerGpus(f"Docker, API {daemon.api_version}", runtimes, devices, notes)


def read_cdi(directories: Sequence[Path]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of all devices, such as `nvidia.com/gpu=0`, and notes on files that cannot be read."""
    names: list[str] = []
    notes: list[str] = []
    files = (file for each in directories for file in sorted(each.glob("*")) if file.suffix in {".json", ".yaml"})
    for file in files:
        try:
            specification = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)  # a safe loader, in C
            names += [f"{specification['kind']}={device['name']}" for device in specification["devices"]]
        except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
            notes.append(f"the CDI specification {file} cannot be read: {type(error).__name__}: {error}")
    return tuple(dict.fromkeys(names)), tuple(notes)
