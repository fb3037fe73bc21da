"""The nodes of the cluster, as Slurm knows them."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from winslow_dagster.engines.engine import Drain, Node, NodeUsage
from winslow_dagster.engines.slurm.commands import SlurmAway, slurm
from winslow_dagster.engines.slurm.gpu_memory import LeastMemory, in_features, may_be_too_small
from winslow_dagster.engines.slurm.node_reports import NodeReports
from winslow_dagster.pipelines.model.stage_rules import Gpu
from winslow_dagster.settings import SlurmSettings
from winslow_dagster.stages.task.model import NodeGpu

COLUMNS = {
    "NodeHost": 64,
    "CPUs": 10,
    "Memory": 16,
    "Gres": 400,
    "Features_act": 1000,
    "StateLong": 40,
    "User": 64,
    "Timestamp": 24,
    "Reason": 700,
}
"""Of sinfo, and how wide each is."""
MIB = 1 << 20
AGAIN_S = 2.0
"""How old the last look may be."""
NONE = frozenset({"(null)", "N/A", "none", "", "Unknown"})
OWN_REASON = re.compile(r"winslow: drained by (?P<by>[^:]+)(?:: (?P<reason>.*))?", re.DOTALL)
DRAINED = ("drain", "drng")
UNUSABLE = ("down", "fail", "unknown", "no_respond", "power", "maint", "future", "reboot", "inval")


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """A line of sinfo."""

    name: str
    cpus: int
    memory_bytes: int
    gpus: tuple[tuple[str, int], ...]
    """Kind and count, in the order of the node's gres."""
    gpu_memory: LeastMemory
    """As the node has said it when it joined; nothing if it is described in slurm.conf."""
    features: tuple[str, ...]
    state: str
    drain: Drain | None

    @property
    def takes_stages(self) -> bool:
        """Whether Slurm starts jobs there."""
        return self.drain is None and not any(word in self.state for word in UNUSABLE)


class ClusterNodes:
    """The nodes of one partition, or of all."""

    def __init__(self, settings: SlurmSettings, reports: NodeReports) -> None:
        self._settings = settings
        self._reports = reports
        self._last: tuple[float, tuple[ClusterNode, ...]] = (float("-inf"), ())

    def look(self, *, again_s: float = AGAIN_S) -> tuple[ClusterNode, ...]:
        """All nodes; while Slurm's controller is away, those that were last seen. Raises SlurmAway if none were."""
        at_s, found = self._last
        if time.monotonic() - at_s < again_s:
            return found
        layout = ",".join(f"{name}:{width}" for name, width in COLUMNS.items())
        partition = [f"--partition={self._settings.slurm_partition}"] if self._settings.slurm_partition else []
        try:
            lines = slurm("sinfo", "--noheader", "--Node", f"--Format={layout}", *partition).splitlines()
        except SlurmAway:
            if not found:
                raise
            return found
        # A node has a line for each of its partitions.
        nodes = tuple({node.name: node for node in map(parsed, filter(str.strip, lines))}.values())
        self._last = time.monotonic(), nodes
        return nodes

    def nodes(self) -> tuple[Node, ...]:
        """All nodes as everybody knows them."""
        return tuple(
            Node(
                name=node.name,
                cpus=node.cpus,
                memory_bytes=node.memory_bytes,
                gpus=self.gpus(node),
                tags=node.features,
                gpu_notes=() if node.takes_stages or node.drain else (f"Slurm says that the node is {node.state}",),
                drain=node.drain,
            )
            for node in self.look()
        )

    def gpus(self, node: ClusterNode) -> tuple[NodeGpu, ...]:
        """A node's GPUs: as an agent has reported them; before that, what Slurm knows."""
        if reported := self._reports.gpus(node.name):
            return reported
        kinds = [kind for kind, count in node.gpus for _ in range(count)]
        return tuple(
            NodeGpu(
                uuid=f"{node.name}-gpu{index}",
                index=index,
                vendor=kind,
                name=f"{kind} GPU",
                memory_bytes=node.gpu_memory.get(kind, 0),
            )
            for index, kind in enumerate(kinds)
        )

    def usage(self) -> tuple[NodeUsage, ...]:
        """What is in use, of the nodes whose agents have said so recently."""
        return self._reports.current_usage()

    def have(self, gpu: Gpu) -> bool:
        """Whether some node has such GPUs, busy or not."""
        small = self.too_small_for(gpu)
        return any(
            node.name not in small
            and sum(count for kind, count in node.gpus if gpu.vendor in {None, kind}) >= gpu.count
            for node in self.look()
        )

    def too_small_for(self, gpu: Gpu) -> frozenset[str]:
        """The nodes where a job is known to be able to get a GPU with less memory than that."""
        return frozenset(node.name for node in self.look() if self._too_small(node, gpu))

    def _too_small(self, node: ClusterNode, gpu: Gpu) -> bool:
        return self._reports.too_small(node.name, gpu) or may_be_too_small(node.gpu_memory, gpu)

    def drain(self, node: str, by: str, reason: str) -> None:
        """Let the node take no new job."""
        text = f"winslow: drained by {by}" + (f": {reason}" if reason else "")
        slurm("scontrol", "update", f"NodeName={node}", "State=DRAIN", f"Reason={text}")
        self._last = (float("-inf"), ())

    def undrain(self, node: str) -> None:
        """Let the node take jobs again."""
        slurm("scontrol", "update", f"NodeName={node}", "State=RESUME")
        self._last = (float("-inf"), ())


def parsed(line: str) -> ClusterNode:
    """A line of sinfo with COLUMNS."""
    fields, at = {}, 0
    for name, width in COLUMNS.items():
        fields[name] = line[at : at + width].strip()
        at += width
    state = fields["StateLong"].rstrip("*~#!%$@^-+")
    features = () if fields["Features_act"] in NONE else fields["Features_act"].split(",")
    gpu_memory, tags = in_features(features)
    return ClusterNode(
        name=fields["NodeHost"],
        cpus=int(fields["CPUs"]),
        memory_bytes=int(fields["Memory"]) * MIB,
        gpus=gres_of(fields["Gres"]),
        gpu_memory=gpu_memory,
        features=tags,
        state=state,
        drain=_drain(fields) if state.startswith(DRAINED) else None,
    )


def gres_of(text: str) -> tuple[tuple[str, int], ...]:
    """GPUs in a list of generic resources such as `gpu:nvidia:2(S:0-1),gpu:amd:1,shard:8`; a kind may be missing."""
    found = []
    for part in re.sub(r"\([^)]*\)", "", text).split(","):
        match re.fullmatch(r"gpu(?::(?P<kind>[^:]+?))??(?::(?P<count>\d+))?", part):
            case None:
                continue
            case one:
                found.append((one["kind"] or "gpu", int(one["count"] or 1)))
    return tuple(found)


def _drain(fields: dict[str, str]) -> Drain:
    own = OWN_REASON.fullmatch(fields["Reason"])
    try:
        at = datetime.fromisoformat(fields["Timestamp"]).astimezone(UTC)
    except ValueError:
        at = datetime.now(UTC)
    if own is not None:
        return Drain(by=own["by"], at=at, reason=own["reason"] or "")
    return Drain(by=fields["User"].partition("(")[0] or "Slurm", at=at, reason=fields["Reason"])
