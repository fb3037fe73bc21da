"""Passes manifests between ops through the project tables.

Inputs are loaded by the run that produced them: Dagster names it correctly across any chain of re-executions.
"""

from __future__ import annotations

from dagster import InputContext, IOManager, OutputContext

from winslow_dagster.errors import NotFound
from winslow_dagster.jobs.worker_resources import WorkerResources
from winslow_dagster.storage.manifest import Manifest


class ManifestIOManager(IOManager):
    """Stores manifests by run and stage."""

    def __init__(self, resources: WorkerResources) -> None:
        self._records = resources.records

    def handle_output(self, context: OutputContext, obj: Manifest) -> None:
        """Record the manifest that this run passes on for the stage, whether it is new or reused."""
        self._records.record_run_output(context.run_id, context.step_key, obj)
        context.add_output_metadata({"files": len(obj.files), "size_bytes": obj.size_bytes, "address": obj.address})

    def load_input(self, context: InputContext) -> Manifest:
        """The manifest that the producing run passed on. Raises NotFound if there is none."""
        producer = context.upstream_output
        if producer is None or producer.run_id is None:
            raise NotFound("the input has no producing stage", where=context.name)
        manifest = self._records.run_outputs(producer.run_id, producer.step_key)
        if manifest is None:
            raise NotFound(
                f"run {producer.run_id} has no outputs of {producer.step_key}",
                where=context.name,
                remedy="Start from that stage, or from an earlier one",
            )
        return manifest
