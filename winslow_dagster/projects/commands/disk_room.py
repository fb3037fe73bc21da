"""Whether what a run brings and makes fits on the disk of the store, judged by what its stages made before."""

from __future__ import annotations

from collections.abc import Iterable

from winslow_dagster.actions import Action
from winslow_dagster.errors import DiskFull
from winslow_dagster.formatting import format_size
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.database.space_usage import SpaceUsage
from winslow_dagster.storage.disk import free_bytes
from winslow_dagster.storage.local import LocalStore

RESERVE_BYTES = 1 << 30
"""Stays free: databases and logs need it."""


def require_disk(context: Context, pipeline: str, stages: Iterable[str], inputs_bytes: int) -> None:
    """Raise DiskFull if the inputs, and as much output as such stages usually make, do not fit on the store's disk.

    Nothing is known of the disks of an S3 store, nor of a stage that has never run.
    """
    store = context.store
    if not isinstance(store, LocalStore):
        return
    outputs_bytes = sum(SpaceUsage(context.records.database).typical_outputs(pipeline, stages).values())
    free = free_bytes(store.root)
    if inputs_bytes + outputs_bytes + RESERVE_BYTES > free and inputs_bytes + outputs_bytes > 0:
        raise DiskFull(
            f"{format_size(inputs_bytes)} of new inputs and about {format_size(outputs_bytes)} of outputs do not fit: "
            f"{format_size(free)} are free, of which {format_size(RESERVE_BYTES)} are kept",
            where=str(store.root),
            remedy=Action("show_space"),
        )
