"""The GPUs of a node in the order in which Slurm numbers them."""

from __future__ import annotations

from collections.abc import Collection

from winslow_dagster.errors import EngineError
from winslow_dagster.stages.task.model import NodeGpu


def given_gpus(known: tuple[NodeGpu, ...], given: Collection[int]) -> tuple[NodeGpu, ...]:
    """All GPUs of this node, in Slurm's order: `known`, or those that are detected if Slurm has `given` some.

    Raises EngineError if Slurm has given one that there is not.
    """
    found = known
    if given and not known:
        from winslow_dagster.engines.hardware import detect_gpus

        found = detect_gpus().gpus
    if missing := sorted(number for number in given if number >= len(found)):
        raise EngineError(
            f"Slurm has given this job GPU {missing[0]}, but {len(found)} are known on this node",
            where="gres.conf",
            remedy="Let the machine join again: that writes its GPUs to gres.conf and to its node file",
        )
    return found
