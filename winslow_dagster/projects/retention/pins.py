"""Pinned attempts, and the retention rules that projects have of their own."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime

import yaml
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select

from winslow_dagster.errors import InputRejected, NotFound
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.pipelines.model.pipeline import RetentionRule
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, hold_project, insert

RULES = TypeAdapter(tuple[RetentionRule, ...])


class Pin(Frozen):
    """An attempt that no rule removes anything of."""

    task_id: str
    project: str
    pinned_at: datetime
    pinned_by: str
    reason: str


def read_rule(text: str) -> RetentionRule:
    """Read a rule written as in a pipeline file. Raises InputRejected."""
    expected = "a rule such as '{glob: \"*.mp4\", attempts: 2}', with what, glob, attempts and days"
    try:
        rule = RetentionRule.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        raise InputRejected(f"{text!r} is not a retention rule", expected=expected) from error
    if (rule.attempts is not None and rule.attempts < 1) or (rule.days is not None and not 0 <= rule.days < math.inf):
        raise InputRejected(f"{text!r} is not a retention rule", expected="attempts >= 1 and days >= 0")
    return rule


def written_rule(rule: RetentionRule) -> str:
    """A rule as `read_rule` reads it."""
    fields = rule.model_dump(exclude_defaults=True)
    if rule.days is not None and rule.days.is_integer():
        fields["days"] = int(rule.days)
    return yaml.safe_dump(fields, default_flow_style=True, sort_keys=False, width=math.inf, allow_unicode=True).strip()


class Pins:
    """Every method is one transaction and may be called again after a crash. All raise ServiceUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pin(self, task_id: str, by: str, reason: str = "") -> Pin:
        """Pin an attempt. If it is pinned already, that pin stays. Raises NotFound."""
        attempts, pins = schema.attempts, schema.pins
        with self._database.writing() as connection:
            project = connection.execute(
                select(attempts.c.project).where(attempts.c.task_id == task_id)
            ).scalar_one_or_none()
            if project is None:
                raise NotFound("attempt does not exist", where=task_id)
            hold_project(connection, project)
            pin = Pin(task_id=task_id, project=project, pinned_at=datetime.now(UTC), pinned_by=by, reason=reason)
            connection.execute(insert(connection, pins).values(pin.model_dump()).on_conflict_do_nothing())
            row = connection.execute(select(pins).where(pins.c.task_id == task_id)).mappings().one()
        return Pin(**row)

    def unpin(self, task_id: str) -> None:
        """Unpin an attempt. Raises NotFound if it is not pinned."""
        with self._database.writing() as connection:
            deleted = connection.execute(schema.pins.delete().where(schema.pins.c.task_id == task_id))
        if deleted.rowcount == 0:
            raise NotFound("the attempt is not pinned", where=task_id)

    def pins(self, project: str | None = None) -> tuple[Pin, ...]:
        """List the pins of all projects but deleted ones, or of one, the oldest first."""
        query = select(schema.pins).order_by(schema.pins.c.pinned_at, schema.pins.c.task_id)
        if project is None:
            query = query.where(schema.of_live_project(schema.pins.c.project))
        if project is not None:
            query = query.where(schema.pins.c.project == project)
        with self._database.reading() as connection:
            return tuple(Pin(**row) for row in connection.execute(query).mappings())

    def set_rules(self, project: str, rules: Iterable[RetentionRule], by: str) -> None:
        """Replace the project's own rules, which take precedence over those of its pipeline."""
        row = {
            "project": project,
            "rules": RULES.dump_python(tuple(rules), mode="json"),
            "set_at": datetime.now(UTC),
            "set_by": by,
        }
        table = schema.retention
        with self._database.writing() as connection:
            hold_project(connection, project)
            connection.execute(
                insert(connection, table).values(row).on_conflict_do_update(index_elements=["project"], set_=row)
            )

    def rules(self) -> dict[str, tuple[RetentionRule, ...]]:
        """Project -> its own rules, if it has any."""
        table = schema.retention
        with self._database.reading() as connection:
            rows = connection.execute(select(table.c.project, table.c.rules)).all()
        return {row.project: RULES.validate_python(row.rules) for row in rows}
