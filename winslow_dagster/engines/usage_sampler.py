"""Samples what is in use on this machine once a second, in a thread of a service, for the curves of the console."""

from __future__ import annotations

import fcntl
import logging
import math
import os
import threading
import time
from pathlib import Path

import psutil

from winslow_dagster.engines.gpu_processes import ProcessOwners, write_processes
from winslow_dagster.engines.gpu_readings import GPU_FIELDS, GpuReader
from winslow_dagster.engines.usage_rings import RingWriter
from winslow_dagster.locks import lock_now
from winslow_dagster.settings import NodeSettings
from winslow_dagster.stages.disk_space import Space

NODE_SERIES = "node"
NODE_FIELDS = (
    "cpu_percent",
    "memory_used_bytes",
    "disk_used_bytes",
    "disk_read_bytes_per_s",
    "disk_written_bytes_per_s",
    "network_received_bytes_per_s",
    "network_sent_bytes_per_s",
)
MOST_GPUS = 64
"""Further ones are not sampled: the files have a bounded size."""

logger = logging.getLogger(__name__)


def usage_dir(node: NodeSettings) -> Path:
    """Where the samples of this machine are."""
    return node.node_dir / "usage"


def processes_file(directory: Path, uuid: str) -> Path:
    """Where the processes are that use a GPU now, in a directory of samples."""
    return directory / f"{gpu_series(uuid)}.processes.json"


def gpu_series(uuid: str) -> str:
    """The name of a GPU's series: its id as the name of a file."""
    return "gpu-" + "".join(each if each.isalnum() or each in "-_" else "_" for each in uuid)[:100]


class UsageSampler:
    """One per machine, whatever number of installations has its directory: the others wait until it ends."""

    def __init__(self, node: NodeSettings, gpus: GpuReader | None = None) -> None:
        self._node = node
        self._gpus = gpus or GpuReader()
        self._owners = ProcessOwners(node.tasks_dir)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="usage-sampler", daemon=True)
        self._node_rings: RingWriter | None = None
        self._gpu_rings: dict[str, RingWriter] = {}
        self._counters: tuple[float, tuple[float, ...]] | None = None
        self._failure = ""
        self.processor_s = 0.0
        """Processor time that the thread has used."""

    def start(self) -> None:
        """Begin. Returns at once."""
        self._gpus.start()
        self._thread.start()

    def stop(self) -> None:
        """End, and release the machine's directory."""
        self._stop.set()
        self._gpus.stop()
        self._thread.join()

    def sample(self, at_s: int) -> None:
        """Take one sample."""
        directory = usage_dir(self._node)
        if self._node_rings is None:
            self._node_rings = RingWriter(directory, NODE_SERIES, len(NODE_FIELDS))
        self._node_rings.write(at_s, self._node_values())
        for uuid, reading in self._gpus.latest().items():
            rings = self._gpu_rings.get(uuid)
            if rings is None:
                if len(self._gpu_rings) >= MOST_GPUS:
                    continue
                rings = self._gpu_rings[uuid] = RingWriter(directory, gpu_series(uuid), len(GPU_FIELDS))
            rings.write(at_s, reading.values())
            if reading.processes is not None:
                write_processes(processes_file(directory, uuid), self._owners.described(reading.processes))

    def _run(self) -> None:
        directory = usage_dir(self._node)
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not lock_now(lock, fcntl.LOCK_EX):
                if self._stop.wait(10):
                    return
            while not self._stop.wait(1 - time.time() % 1):
                try:
                    self.sample(int(time.time()))
                except OSError as error:  # Such as a full disk: the curves have a gap, and everything else goes on.
                    if str(error) != self._failure:
                        logger.warning("no samples of this machine: %s", error)
                    self._failure = str(error)
                    # The next sample makes the directory anew, in case that it was removed.
                    self._node_rings, self._gpu_rings = None, {}
                self.processor_s = time.thread_time()
        finally:
            os.close(lock)

    def _node_values(self) -> tuple[float, ...]:
        memory, space = psutil.virtual_memory(), Space.at(self._node.node_dir)
        return (
            psutil.cpu_percent(None),
            float(memory.total - memory.available),
            float(space.total_bytes - space.free_bytes),
            *self._rates(),
        )

    def _rates(self) -> tuple[float, ...]:
        """Bytes a second of disks and networks since the last sample; unknown in the first one."""
        disks, networks = psutil.disk_io_counters(), psutil.net_io_counters()
        counts = (
            *((disks.read_bytes, disks.write_bytes) if disks else (math.nan, math.nan)),
            *((networks.bytes_recv, networks.bytes_sent) if networks else (math.nan, math.nan)),
        )
        now_s, before = time.monotonic(), self._counters
        self._counters = now_s, counts
        if before is None or now_s <= before[0]:
            return (math.nan,) * len(counts)
        passed_s = now_s - before[0]
        return tuple(max(0.0, count - last) / passed_s for count, last in zip(counts, before[1], strict=True))
