"""What is in use on a node at a moment, as frozen values."""

from __future__ import annotations

from typing import Literal

from winslow_dagster.pipelines.model.frozen import Frozen


class GpuProcess(Frozen):
    """A process that uses a GPU. `project`, `stage` and `attempt` say whose it is; empty if it is not Winslow's."""

    pid: int
    program: str = ""
    """The name of its program; empty if it cannot be read."""
    memory_bytes: int | None = None
    """Of the GPU; None where the driver does not say it."""
    project: str = ""
    stage: str = ""
    attempt: int | None = None


class GpuUsage(Frozen):
    """What is in use of one GPU at this moment. None where its driver does not say it."""

    uuid: str
    used_percent: float | None = None
    memory_used_bytes: float | None = None
    temperature_c: float | None = None
    processes: tuple[GpuProcess, ...] | None = None
    """Those with the most memory first."""


class NodeUsage(Frozen):
    """What is in use on a node at this moment."""

    name: str
    cpu_percent: float
    """Of all CPUs together: 0 to 100."""
    memory_used_bytes: int
    memory_total_bytes: int
    disk_free_bytes: int
    disk_total_bytes: int
    """Of the file system that holds the node directory."""
    disk_state: Literal["ok", "low", "full"] = "ok"
    """`full`: no stage starts."""
    disk_read_bytes_per_s: float | None = None
    disk_written_bytes_per_s: float | None = None
    network_received_bytes_per_s: float | None = None
    network_sent_bytes_per_s: float | None = None
    """These four are known while the services sample the node."""
    gpus: tuple[GpuUsage, ...] = ()
    """Known while the services sample the node; on a node of a cluster, while a stage has the GPU."""
