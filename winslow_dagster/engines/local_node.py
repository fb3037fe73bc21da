"""This machine as a node: what it has, and what is in use."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection
from functools import lru_cache

import psutil

from winslow_dagster.engines import container_gpus, hardware, usage_history
from winslow_dagster.engines.container_gpus import ContainerGpus
from winslow_dagster.engines.engine import Node, NodeImage, NodeUsage
from winslow_dagster.engines.gpu_report import GpuReport
from winslow_dagster.settings import NodeSettings
from winslow_dagster.stages.disk_space import Space
from winslow_dagster.stages.node_drain import read_drain
from winslow_dagster.stages.task.model import NodeGpu

CPU_SAMPLE_S = 0.1
GPUS_KEPT_S = 30.0
CONTAINERS_KEPT_S = 10.0
"""Pages that show nodes are drawn anew with each change; to ask the daemon takes several milliseconds."""


class DetectedGpus:
    """This machine's GPUs: detected at the first question, and again in the background for later ones.

    A GPU may fall off its bus, and a driver may come back. Detection takes up to a second, and much longer if a driver
    hangs, so that at most one hundredth of the time is spent on it.
    """

    def __init__(self, detect: Callable[[], GpuReport]) -> None:
        self._detect = detect
        self._lock = threading.Lock()
        self._report: GpuReport | None = None
        self._again_at_s = 0.0
        self._refreshing: threading.Thread | None = None

    def report(self) -> GpuReport:
        """As last detected."""
        with self._lock:
            report = self._report or self._look()
            if time.monotonic() >= self._again_at_s and self._refreshing is None:
                self._refreshing = threading.Thread(target=self._refresh, name="gpu-detection", daemon=True)
                self._refreshing.start()
            return report

    def _refresh(self) -> None:
        self._look()
        self._refreshing = None

    def _look(self) -> GpuReport:
        began_s = time.monotonic()
        self._report = report = self._detect()
        ended_s = time.monotonic()
        self._again_at_s = ended_s + max(GPUS_KEPT_S, 100 * (ended_s - began_s))
        return report


_DETECTED = DetectedGpus(lambda: hardware.detect_gpus())  # noqa: PLW0108  # looked up when it is called


def gpus_here() -> GpuReport:
    """This machine's GPUs."""
    return _DETECTED.report()


def containers_here() -> ContainerGpus:
    """What this machine offers containers, as of CONTAINERS_KEPT_S ago at most. That there is no Docker is not kept."""
    period = int(time.monotonic() // CONTAINERS_KEPT_S)
    found = _containers(gpus_here().gpus, os.environ.get("DOCKER_HOST", ""), period)
    if not found.docker:
        _containers.cache_clear()
    return found


@lru_cache(maxsize=1)
def _containers(gpus: tuple[NodeGpu, ...], host: str, period: int) -> ContainerGpus:
    del host, period
    return container_gpus.look(gpus)


def this_node(settings: NodeSettings) -> Node:
    """This machine."""
    containers = containers_here()
    return Node(
        name=hardware.node_name(),
        cpus=hardware.usable_cpus(),
        memory_bytes=hardware.usable_memory_bytes(),
        gpus=gpus_here().gpus,
        tags=settings.node_tags,
        containers=containers.docker,
        container_runtimes=containers.runtimes,
        cdi_devices=containers.cdi_devices,
        gpu_notes=gpus_here().notes + containers.notes,
        drain=read_drain(settings.node_dir),
    )


def usage(settings: NodeSettings) -> NodeUsage:
    """What is in use now. Measures CPU usage over CPU_SAMPLE_S."""
    gpus = usage_history.gpus_now(settings, gpus_here().gpus)
    return usage_without_gpus(settings).model_copy(update={"gpus": gpus})


def usage_without_gpus(settings: NodeSettings) -> NodeUsage:
    """The same without the GPUs. Asks no driver, which might hang."""
    memory = psutil.virtual_memory()
    space = Space.at(next(path for path in (settings.node_dir, *settings.node_dir.parents) if path.exists()))
    return NodeUsage(
        name=hardware.node_name(),
        cpu_percent=psutil.cpu_percent(CPU_SAMPLE_S),
        memory_used_bytes=memory.total - memory.available,
        memory_total_bytes=memory.total,
        disk_free_bytes=space.free_bytes,
        disk_total_bytes=space.total_bytes,
        disk_state="full" if space.full else "low" if space.low else "ok",
        **usage_history.rates_now(settings),
    )


def images(names: Collection[str]) -> tuple[NodeImage, ...]:
    """These images as this machine has them. Raises ServiceUnavailable if Docker is not available."""
    from winslow_dagster.stages.launchers.docker.containers import DockerDaemon

    daemon = DockerDaemon.connect()
    return tuple(NodeImage(name=name, size_bytes=daemon.image_size_bytes(name)) for name in names)
