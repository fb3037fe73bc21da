"""The variables that every stage finds in its environment, in a container or as a process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePosixPath

from winslow_dagster.stages.launchers.base import Places
from winslow_dagster.stages.task.model import NodeGpu, StageTask
from winslow_dagster.storage.manifest import Manifest


def own_variables(task: StageTask, places: Places, gpus: Sequence[NodeGpu]) -> dict[str, str]:
    """The variables that no layer of a pipeline overrides, as this machine sets them for a stage that it starts."""
    return {
        **_task_variables(task, places),
        "WINSLOW_CPUS": f"{granted_cpus(task):g}",
        "WINSLOW_MEMORY_BYTES": str(task.memory_bytes or installed_memory_bytes()),
        "WINSLOW_GPU_COUNT": str(len(gpus)),
        **visible_devices(gpus),
    }


def planned_variables(task: StageTask, places: Places) -> dict[str, str]:
    """The same before a node is chosen; equal on every machine.

    CPUs and memory are those that the task requests. A value that only the node knows stands for itself, as `${NAME}`.
    """
    gpu = task.gpu
    return {
        **_task_variables(task, places),
        "WINSLOW_CPUS": f"{task.cpus:g}",
        "WINSLOW_MEMORY_BYTES": str(task.memory_bytes or "${WINSLOW_MEMORY_BYTES}"),
        "WINSLOW_GPU_COUNT": "${WINSLOW_GPU_COUNT}" if gpu and gpu.optional else str(gpu.count if gpu else 0),
        "CUDA_VISIBLE_DEVICES": "${CUDA_VISIBLE_DEVICES}" if gpu else "",
    }


def _task_variables(task: StageTask, places: Places) -> dict[str, str]:
    resources = {
        f"WINSLOW_RESOURCE_{name.upper()}": resource_path(places, name, manifest)
        for name, manifest in task.resources.items()
    }
    return {
        "WINSLOW_INPUT_DIR": places.input,
        "WINSLOW_RESOURCES_DIR": places.resources,
        "WINSLOW_OUTPUT_DIR": places.output,
        "WINSLOW_CHECKPOINT_DIR": places.checkpoint,
        "WINSLOW_SECRETS_DIR": places.secrets,
        "WINSLOW_PROJECT": task.project,
        "WINSLOW_PIPELINE": task.pipeline,
        "WINSLOW_STAGE": task.stage,
        "WINSLOW_ATTEMPT": str(task.attempt),
        "WINSLOW_TASK_ID": task.task_id,
        **resources,
    }


def granted_cpus(task: StageTask) -> float:
    """The CPUs that the stage requests, at most those of this machine."""
    return min(task.cpus, float(os.cpu_count() or 1))


def resource_path(places: Places, name: str, manifest: Manifest) -> str:
    """The path of the resource's file, or of its directory if it does not have exactly one file."""
    directory = PurePosixPath(places.resources, name)
    return str(directory / manifest.files[0].path if len(manifest.files) == 1 else directory)


def visible_devices(gpus: Sequence[NodeGpu]) -> dict[str, str]:
    """The variables that make frameworks see exactly the allotted GPUs. The CUDA one is always set, even if empty."""
    variables = {"CUDA_VISIBLE_DEVICES": ",".join(gpu.uuid for gpu in gpus if gpu.vendor == "nvidia")}
    if amd := [str(gpu.index) for gpu in gpus if gpu.vendor == "amd"]:
        variables["ROCR_VISIBLE_DEVICES"] = ",".join(amd)
    if intel := [str(gpu.index) for gpu in gpus if gpu.vendor == "intel"]:
        variables["ZE_AFFINITY_MASK"] = ",".join(intel)
    return variables


def installed_memory_bytes() -> int:
    """The memory of this machine, as psutil says it: stages start without importing that."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
