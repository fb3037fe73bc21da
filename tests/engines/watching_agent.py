"""The agent of a job without stages, on a node whose GPUs have a driver of the tests, beside one that hangs."""

from __future__ import annotations

import sys

from gpu_drivers import Busy, Hanging
from slurm_installation import GPUS
from tiny_agent import serve

from winslow_dagster.engines.slurm import agent

if __name__ == "__main__":
    sys.exit(agent.main(serve, gpu_sources=(Hanging(), Busy(*(gpu.uuid for gpu in GPUS["s1"])))))
