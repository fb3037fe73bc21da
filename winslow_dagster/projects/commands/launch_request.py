"""What a person requests when a run is launched, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from winslow_dagster.pipelines import Layer, plain_variables
from winslow_dagster.projects.domain.views import PipelineVersion
from winslow_dagster.projects.inputs.input_storage import source_name
from winslow_dagster.projects.inputs.resource_pool import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRequest:
    """A request for a run. `pipeline` None: the pipeline the project uses.

    `project_env` are the variables of a project that the request creates; `run_env` are those of the run. Without
    `start_from`, a project runs the stages whose outputs are missing or out of date. `continues`: also with what its
    last run was requested to do, unless that run succeeded or was cancelled.
    """

    project: str
    pipeline: str | None = None
    inputs: Mapping[str, Source] = field(default_factory=dict)
    project_env: Layer = field(default_factory=dict)
    run_env: Layer = field(default_factory=dict)
    start_from: tuple[str, ...] = ()
    stop_after: str | None = None
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    use: Mapping[str, str] = field(default_factory=dict)
    reuse: bool = False
    pipeline_version: PipelineVersion = "pinned"
    continues: bool = False
    reason: str = ""
    tags: tuple[str, ...] = ()

    def audit_details(self) -> dict[str, Any]:
        """The request as the audit trail keeps it."""
        return {
            "pipeline": self.pipeline,
            "inputs": {name: source_name(source) for name, source in self.inputs.items()},
            "env": plain_variables(self.run_env or self.project_env),
            "start_from": list(self.start_from),
            "stop_after": self.stop_after,
            "settings": {stage: dict(override) for stage, override in self.overrides.items()},
            "use": dict(self.use),
            "reuse": self.reuse or None,
            "reason": self.reason,
        }
