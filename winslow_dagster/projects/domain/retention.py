"""Retention rules of an installation, and what a change of them would remove, as values."""

from __future__ import annotations

from datetime import datetime

from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.pipelines.model.pipeline import RetentionRule


class HouseRulesView(Frozen):
    """The rules for all projects, where no rule of the project or its pipeline applies, and the YAML that says them.

    `in_file`: they are in `file`, and changed there only; otherwise `version` counts the changes. `fault` says why they
    cannot be used: nothing is removed then.
    """

    rules: tuple[RetentionRule, ...]
    text: str
    file: str
    fault: str = ""
    in_file: bool = False
    version: int = 0
    changed_at: datetime | None = None
    changed_by: str = ""


class RemovalSum(Frozen):
    """What would be removed of a stage, for one reason. `kind` is outputs, log or leftovers."""

    project: str
    stage: str
    kind: str
    reason: str
    attempts: int
    size_bytes: int


class RulesPreview(Frozen):
    """What changed rules would remove in addition to those in force, and what would be kept again.

    Nothing is removed for it. `removed` and `kept` have the largest sums, and `removed_bytes` and `kept_bytes` are of
    all.
    """

    removed: tuple[RemovalSum, ...]
    kept: tuple[RemovalSum, ...]
    removed_bytes: int
    kept_bytes: int
