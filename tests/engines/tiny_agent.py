"""The agent of a job without stages: its runner is the tiny one. Where a node has a file `die`, its agents die."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import tiny_runner

from winslow_dagster.engines.slurm import agent
from winslow_dagster.engines.slurm.node_facts import NodeFacts
from winslow_dagster.settings import NodeSettings
from winslow_dagster.stages.task.model import NodeGpu


def serve(path: Path, _node: NodeSettings, _gpus: tuple[NodeGpu, ...], _stored: Callable[[], None]) -> int:
    tiny_runner.run(path)
    return 0


if __name__ == "__main__":
    if (NodeFacts.read().node_dir / "die").exists():
        sys.exit("the disk has a hole")
    sys.exit(agent.main(serve))
