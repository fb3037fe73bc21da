"""What a person can do about disk space: see usage, prune, pin attempts, and set a project's own retention rules."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from winslow_dagster.engines.engine import Engine
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.pipelines.model.pipeline import RetentionRule
from winslow_dagster.projects.database.audit import Audit
from winslow_dagster.projects.database.permission import Permissions
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.attempts import find_attempt
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.projects.domain.retention import HouseRulesView, RulesPreview
from winslow_dagster.projects.retention.cleanup import Cleanup, Plan, Usage
from winslow_dagster.projects.retention.house_rules import HouseRules, parse_rules
from winslow_dagster.projects.retention.inventory import TriedRules
from winslow_dagster.projects.retention.pins import Pin, Pins, read_rule
from winslow_dagster.projects.retention.preview import preview
from winslow_dagster.projects.retention.rules import Removal
from winslow_dagster.settings import Settings
from winslow_dagster.storage.store import Store


class PruneResult(Frozen):
    """What the rules remove. `freed_bytes` is None if it was only planned."""

    removals: tuple[Removal, ...]
    size_bytes: int
    freed_bytes: int | None = None

    @classmethod
    def of(cls, plan: Plan, freed_bytes: int | None = None) -> PruneResult:
        """Show a plan, and what came of it."""
        return cls(removals=plan.removals, size_bytes=plan.size_bytes, freed_bytes=freed_bytes)


class AttemptAddress(Frozen):
    """An attempt by its number, counted from 1 over all runs, and by its task id."""

    project: str
    stage: str
    attempt: int
    task_id: str


class ProjectRules(Frozen):
    """The retention rules that a project has of its own."""

    rules: tuple[RetentionRule, ...]


class RetentionService:
    """All methods raise NotFound for an unknown project, and ServiceUnavailable. Attempts are named by number or id.

    Those that change something raise Forbidden for those who may not act on the project.
    """

    def __init__(self, records: ProjectRecords, store: Store, settings: Settings, engine: Engine, actor: Actor) -> None:
        self._records = records
        self._cleanup = Cleanup(records, store, settings, engine, actor.who)
        self._pins = Pins(records.database)
        self._audit = Audit(records.database)
        self._permissions = Permissions(records.database)
        self._actor = actor
        self._house_rules = HouseRules(records.database, settings)

    def usage(self, project: str | None = None) -> Usage:
        """Measure how much space projects and their stages take."""
        return self._cleanup.usage(project)

    def plan(self, project: str | None = None) -> PruneResult:
        """List what the rules remove, of all projects or of one, without removing it."""
        return PruneResult.of(self._cleanup.plan(project))

    def prune(self, project: str | None = None) -> PruneResult:
        """Remove what the rules remove, of all projects or of one. Raises StoreError, EngineError."""
        if project is None:
            self._actor.require("admin")
        else:
            self._permissions.require_may_act(self._actor, project)
        plan = self._cleanup.plan(project)
        freed_bytes = self._cleanup.carry_out(plan)
        self._audit.note(self._actor, "prune", project, freed_bytes=freed_bytes)
        return PruneResult.of(plan, freed_bytes)

    def pin(self, project: str, stage: str, attempt: str | int, *, reason: str = "") -> Pin:
        """Keep everything of an attempt, whatever the rules say. An earlier pin of it stays. Raises NotFound."""
        self._permissions.require_may_act(self._actor, project)
        task_id = self._attempt(project, stage, attempt).task_id
        pin = self._pins.pin(task_id, self._actor.who, reason)
        self._audit.note(self._actor, "pin", project, stage=stage, attempt=task_id, reason=reason)
        return pin

    def unpin(self, project: str, stage: str, attempt: str | int) -> AttemptAddress:
        """Apply the rules to an attempt again. Raises NotFound, also if it is not pinned."""
        self._permissions.require_may_act(self._actor, project)
        found = self._attempt(project, stage, attempt)
        self._pins.unpin(found.task_id)
        self._audit.note(self._actor, "unpin", project, stage=stage, attempt=found.task_id)
        attempts = [each.task_id for each in self._records.attempts(project) if each.stage == stage]
        number = attempts.index(found.task_id) + 1
        return AttemptAddress(project=project, stage=stage, attempt=number, task_id=found.task_id)

    def pins(self, project: str | None = None) -> tuple[Pin, ...]:
        """List the pins of all projects or of one, the oldest first."""
        return self._pins.pins(project)

    def rules(self, project: str) -> ProjectRules:
        """Read the project's own rules."""
        self._records.project(project)
        return ProjectRules(rules=self._pins.rules().get(project, ()))

    def set_rules(self, project: str, rules: Iterable[RetentionRule | str]) -> ProjectRules:
        """Replace the project's own rules; without any, those of its pipeline apply alone.

        A rule may be a text as in a pipeline file. Raises InputRejected.
        """
        self._permissions.require_may_act(self._actor, project)
        parsed = _parsed(rules)
        self._pins.set_rules(project, parsed, self._actor.who)
        self._audit.note(self._actor, "retention", project, rules=[rule.model_dump(mode="json") for rule in parsed])
        return ProjectRules(rules=parsed)

    def preview_rules(self, project: str, rules: Iterable[RetentionRule | str]) -> RulesPreview:
        """What these rules as the project's own would remove in addition to those in force, and what they would keep.

        Changes nothing. Raises InputRejected.
        """
        parsed, at = _parsed(rules), datetime.now(UTC)
        self._records.require_project(project)
        return preview(
            self._cleanup.plan(project, now=at).removals,
            self._cleanup.plan(project, now=at, tried=TriedRules(own={project: parsed})).removals,
        )

    def house_rules(self) -> HouseRulesView:
        """The rules of the installation, for what no rule of a project or its pipeline is about."""
        return self._house_rules.view()

    def preview_house_rules(self, text: str) -> RulesPreview:
        """What the rules in this YAML would remove in addition to those in force, and what they would keep.

        Changes nothing. Raises RetentionRulesInvalid.
        """
        self._actor.require("admin")
        rules, at = parse_rules(text), datetime.now(UTC)
        return preview(
            self._cleanup.plan(now=at).removals, self._cleanup.plan(now=at, tried=TriedRules(house=rules)).removals
        )

    def set_house_rules(self, text: str, *, version: int) -> HouseRulesView:
        """Replace the rules of the installation by those in this YAML, after having seen `version` of them.

        Raises RetentionRulesInvalid with all problems, ProjectConflict if somebody has changed them since or if they
        are in a file.
        """
        self._actor.require("admin")
        before = self._house_rules.view().text
        saved = self._house_rules.save(text, version=version, by=self._actor.who, at=datetime.now(UTC))
        self._audit.note(self._actor, "retention_rules", before=before, after=text)
        return saved

    def _attempt(self, project: str, stage: str, attempt: str | int) -> Attempt:
        return find_attempt(self._records.attempts(project), stage, attempt)


def _parsed(rules: Iterable[RetentionRule | str]) -> tuple[RetentionRule, ...]:
    """Rules, some of which may be texts as in a pipeline file. Raises InputRejected."""
    return tuple(read_rule(rule) if isinstance(rule, str) else rule for rule in rules)
