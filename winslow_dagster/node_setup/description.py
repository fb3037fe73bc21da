"""How a machine describes itself to Slurm: its size, its GPUs and its tags."""

from __future__ import annotations

import re
from collections import Counter

from winslow_dagster.engines.slurm.gpu_memory import features_of, least_memory
from winslow_dagster.errors import SettingsInvalid
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.settings import NODE_TAG
from winslow_dagster.stages.task.model import NodeGpu

NODE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")
RESERVED_SHARE = 0.05
"""Of the memory, for the system and the agents."""


class Description(Frozen):
    """A machine as it joins."""

    name: str
    cpus: int
    memory_bytes: int
    gpus: tuple[NodeGpu, ...] = ()
    tags: tuple[str, ...] = ()

    def checked(self) -> Description:
        """Itself. Raises SettingsInvalid for a name or a tag that Slurm cannot have."""
        if not NODE_NAME.fullmatch(self.name):
            raise SettingsInvalid(
                f"the machine's name is {self.name!r}",
                expected="letters, digits and hyphens",
                remedy="Change it with hostnamectl, or give another one with --name",
            )
        if wrong := [tag for tag in self.tags if not NODE_TAG.fullmatch(tag)]:
            raise SettingsInvalid(f"the tag {wrong[0]!r}", expected="letters, digits, dots, hyphens and underscores")
        return self

    @property
    def usable_gpus(self) -> tuple[NodeGpu, ...]:
        """Those that Slurm can give to jobs, which it does by device files, in the order in which it numbers them."""
        return tuple(sorted((gpu for gpu in self.gpus if gpu.device_files), key=_device_numbers))

    def slurmd_conf(self) -> str:
        """What slurmd says to slurmctld when it joins."""
        memory_mb = int(self.memory_bytes * (1 - RESERVED_SHARE)) >> 20
        parts = [f"CPUs={self.cpus}", f"RealMemory={memory_mb}"]
        if self.usable_gpus:
            counts = Counter(gpu.vendor for gpu in self.usable_gpus)
            parts.append("Gres=" + ",".join(f"gpu:{vendor}:{count}" for vendor, count in counts.items()))
        if features := (*self.tags, *features_of(least_memory(self.usable_gpus))):
            parts.append(f"Feature={','.join(features)}")
        return " ".join(parts)

    def gres_conf(self) -> str:
        """The text of gres.conf: a line for each GPU."""
        return "# Written by `winslow node join`.\n" + "".join(map(gres_line, self.usable_gpus))


def gres_line(gpu: NodeGpu) -> str:
    """The line of gres.conf for a GPU. An instance of a GPU needs several device files."""
    files = ("File" if len(gpu.device_files) == 1 else "MultipleFiles") + "=" + ",".join(gpu.device_files)
    return f"Name=gpu Type={gpu.vendor} {files}\n"


def _device_numbers(gpu: NodeGpu) -> tuple[str, list[int]]:
    return gpu.vendor, [int(number) for file in gpu.device_files for number in re.findall(r"[0-9]+$", file)]
