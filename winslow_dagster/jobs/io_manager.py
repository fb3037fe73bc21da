"""What travels between ops is a manifest, and its home is the table of attempts.

A stage op writes its attempt there before it yields, so storing an output is no more than a check. Loading asks by the
run that produced it: Dagster names the true producer through any chain of re-executions.
"""

from __future__ import annotations

from dagster import InputContext, IOManager, OutputContext

from winslow_dagster.errors import NotFound
from winslow_dagster.jobs.worker_resources import WorkerResources
from winslow_dagster.storage.manifest import Manifest


class ManifestIOManager(IOManager):
    """Keyed by run and stage."""

    def __init__(self, resources: WorkerResources) -> None:
        self._records = resources.records

    def handle_output(self, context: OutputContext, obj: Manifest) -> None:
        """Note which manifest this run handed on for the stage, whether it made it or found it stored."""
        self._records.record_run_output(context.run_id, context.step_key, obj)
        context.add_output_metadata({"files": len(obj.files), "size_bytes": obj.size_bytes, "address": obj.address})

    def load_input(self, context: InputContext) -> Manifest:
        """The manifest that the producing run handed on. Raises NotFound where it is gone."""
        producer = context.upstream_output
        if producer is None or producer.run_id is None:
            raise NotFound("an input without a producing stage", where=context.name)
        manifest = self._records.run_outputs(producer.run_id, producer.step_key)
        if manifest is None:
            raise NotFound(
                f"run {producer.run_id} left no outputs of {producer.step_key}",
                where=context.name,
                remedy="Start from that stage, or from an earlier one",
            )
        return manifest
