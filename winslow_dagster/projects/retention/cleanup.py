"""Removes what the rules allow, and measures how much space everything takes. Loses nothing when it is killed.

A removal is recorded first, in one transaction with the attempts that lose outputs, and then carried out: the next pass
finishes what a killed process did not. Once it is recorded, nobody uses the files any more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import groupby

from sqlalchemy import Connection, select

from winslow_dagster.engines.engine import Engine
from winslow_dagster.errors import WinslowError
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.deletions import Deletions
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.retention.inventory import TriedRules, load_histories, referring_projects, removed_files
from winslow_dagster.projects.retention.rules import DELETED, Removal, removals_by_rules, stored_at
from winslow_dagster.settings import Settings
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.store import Store


@dataclass(frozen=True, slots=True)
class Plan:
    """What the rules remove at a moment."""

    at: datetime
    removals: tuple[Removal, ...]

    @property
    def size_bytes(self) -> int:
        """How much space that frees."""
        return sum(removal.size_bytes for removal in self.removals)


@dataclass(frozen=True, slots=True)
class StageUsage:
    """The space that one stage of a project takes. Files that attempts share count once, for their owner."""

    project: str
    stage: str
    attempts: int
    outputs_bytes: int
    logs_bytes: int
    leftovers_bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """The space that everything takes.

    `inputs_bytes` are by project, with earlier versions and files of answers. `cache_bytes` are of input caches.
    """

    stages: tuple[StageUsage, ...]
    inputs_bytes: dict[str, int]
    cache_bytes: int


class Cleanup:
    """All methods raise ServiceUnavailable; those that delete also StoreError and EngineError.

    `actor` is named to those who wait for a project's lock.
    """

    def __init__(
        self, records: ProjectRecords, store: Store, settings: Settings, engine: Engine, actor: str = ""
    ) -> None:
        self._records = records
        self._database = records.database
        self._deletions = Deletions(records.database)
        self._store = store
        self._settings = settings
        self._engine = engine
        self._actor = actor

    def plan(
        self,
        project: str | None = None,
        *,
        now: datetime | None = None,
        tried: TriedRules | None = None,
    ) -> Plan:
        """List what the rules remove, of all projects or of one. Changes nothing. Raises NotFound.

        With `tried`, as if these rules were in force.
        """
        at = now or datetime.now(UTC)
        if project is None:
            purged = [each.project for each in self._deletions.all() if each.purged_at is not None]
            removals = removals_by_rules(load_histories(self._records, self._settings, None, self._engine, tried), at)
            return Plan(at, (*removals, *(removal for name in purged for removal in self._inputs_of(name))))
        deletion = self._deletions.of(project)
        involved = referring_projects(self._records, project)
        removals = removals_by_rules(load_histories(self._records, self._settings, involved, self._engine, tried), at)
        own = tuple(removal for removal in removals if removal.project == project)
        return Plan(at, own if deletion is None or deletion.purged_at is None else (*own, *self._inputs_of(project)))

    def carry_out(self, plan: Plan, stop: Callable[[], bool] = lambda: False) -> int:
        """Delete what is planned and may still be deleted, finish earlier passes, and return the bytes freed.

        `stop` is called before each step. What fails is left to the next pass, and its error is raised at the end.
        """
        failed: dict[int, WinslowError] = {}
        freed_bytes = self._finish(stop, failed)
        by_project = sorted(plan.removals, key=lambda removal: removal.project)
        for project, removals in groupby(by_project, lambda removal: removal.project):
            if stop():
                break
            self._decide(project, set(removals), plan.at)
            freed_bytes += self._finish(stop, failed)
        if failed:
            raise next(iter(failed.values()))
        return freed_bytes

    def usage(self, project: str | None = None) -> Usage:
        """Measure how much space projects and stages take, in the store and on this node. Raises NotFound."""
        if project is not None:
            self._records.require_project(project)
        return self.usage_of(None if project is None else {project})

    def usage_of(self, projects: Collection[str] | None) -> Usage:
        """Measure how much space these projects take; without names, all."""
        stages: dict[tuple[str, str], list[int]] = {}
        for history in load_histories(self._records, self._settings, projects, self._engine):
            for stored in history.attempts:
                sums = stages.setdefault((history.project, stored.attempt.stage), [0, 0, 0, 0])
                own = sum(entry.size_bytes for entries in stored.own_trees.values() for entry in entries)
                logged = stored.log.size_bytes if stored.log is not None else 0
                for index, more in enumerate((1, own, logged, stored.leftover_bytes or 0)):
                    sums[index] += more
        return Usage(
            stages=tuple(StageUsage(*of, *sums) for of, sums in sorted(stages.items())),
            inputs_bytes=self._inputs_bytes(projects),
            cache_bytes=self._engine.cache_bytes(),
        )

    def _decide(self, project: str, planned: Collection[Removal], at: datetime) -> None:
        """Record the planned removals that are still allowed, while nobody else decides about the project."""
        with self._records.project_lock(project, holder=self._actor, purpose="deciding what to delete"):
            removals = [removal for removal in self.plan(project, now=at).removals if removal in planned]
            for removal in removals:
                self._record(removal)

    def _record(self, removal: Removal) -> None:
        attempts = schema.attempts
        losing = set(removal.task_ids)
        row = {name: value for name, value in asdict(removal).items() if name not in {"task_id", "task_ids"}}
        with self._database.writing() as connection:
            # Reusing an attempt's outputs locks its row too, so that one of the two comes first.
            held = select(attempts.c.task_id).where(attempts.c.task_id.in_(losing)).with_for_update()
            connection.execute(held)
            theirs = select(attempts.c.output_address).where(attempts.c.task_id.in_(losing))
            sharing = select(attempts.c.task_id).where(
                attempts.c.output_address.in_(theirs), attempts.c.outputs_removed_at.is_(None)
            )
            reusing = select(attempts.c.task_id).where(
                attempts.c.reused_from.in_(losing), attempts.c.ended_at.is_(None)
            )
            if not losing.issuperset(connection.execute(sharing.union(reusing)).scalars()):
                return  # another attempt has just begun to use the outputs: the next pass decides again
            pending = select(schema.removals.c.id).where(
                schema.removals.c.kind == removal.kind,
                schema.removals.c.address == removal.address,
                schema.removals.c.done_at.is_(None),
            )
            if removal.kind == "leftovers" and connection.execute(pending).first() is not None:
                return  # decided earlier, but not all could be deleted
            now = datetime.now(UTC)
            connection.execute(schema.removals.insert().values(row | {"decided_at": now}))
            _take_off(connection, removal)
            connection.execute(
                attempts.update()
                .where(attempts.c.task_id.in_(losing), attempts.c.outputs_removed_at.is_(None))
                .values(outputs_removed_at=now)
            )

    def left_of(self, project: str) -> bool:
        """Whether anything is left of a project that is being removed: a file, or a stage that has not ended."""
        table = schema.removals
        pending = select(table.c.id).where(table.c.project == project, table.c.done_at.is_(None))
        with self._database.reading() as connection:
            if connection.execute(pending).first() is not None:
                return True
        if self.plan(project).removals:
            return True
        return any(
            history.busy or any(stored.own_trees or stored.log is not None for stored in history.attempts)
            for history in load_histories(self._records, self._settings, {project}, self._engine)
        )

    def _inputs_of(self, project: str) -> tuple[Removal, ...]:
        """The inputs and answers of a project that is being removed, as far as they have not been removed before."""
        stored = self._deletions.stored_inputs(project)
        with self._database.reading() as connection:
            removed = removed_files(connection).trees
        return tuple(
            Removal(project, name, "", "input", address, None, size_bytes, DELETED)
            for name, address, size_bytes in stored
            if address not in removed
        )

    def _finish(self, stop: Callable[[], bool], failed: dict[int, WinslowError]) -> int:
        """Carry out the recorded removals, of any pass, except those in `failed`. Adds to `failed` what cannot be."""
        table = schema.removals
        with self._database.reading() as connection:
            query = select(table).where(table.c.done_at.is_(None)).order_by(table.c.id)
            rows = connection.execute(query).mappings().all()
        freed_bytes = 0
        for row in rows:
            if stop():
                break
            if row["id"] in failed:
                continue
            try:
                freed = self._delete(row["kind"], row["address"], row["paths"], row["size_bytes"])
            except WinslowError as error:
                failed[row["id"]] = error
                continue
            with self._database.writing() as connection:
                unfinished = table.update().where(table.c.id == row["id"], table.c.done_at.is_(None))
                done = connection.execute(unfinished.values(done_at=datetime.now(UTC), freed_bytes=freed))
            freed_bytes += freed if done.rowcount else 0
        return freed_bytes

    def _delete(self, kind: str, address: str, paths: Collection[str] | None, size_bytes: int) -> int:
        if kind == "leftovers":
            return size_bytes if self._engine.forget(address) else 0
        return self._store.delete_tree(address) if paths is None else self._store.delete_files(address, paths)

    def _inputs_bytes(self, projects: Collection[str] | None) -> dict[str, int]:
        sizes: dict[str, int] = {}
        seen: set[tuple[str, str]] = set()
        with self._database.reading() as connection:
            removed = removed_files(connection).trees
            for table in (schema.inputs, schema.answers):
                query = select(table.c.project, table.c.manifest)
                if projects is not None:
                    query = query.where(table.c.project.in_(projects))
                for row in connection.execute(query):
                    manifest = Manifest.model_validate(row.manifest)
                    for entry in manifest.files:
                        place = stored_at(manifest, entry)
                        if place not in seen and place[0] not in removed:
                            seen.add(place)
                            sizes[row.project] = sizes.get(row.project, 0) + entry.size_bytes
        return sizes


def _take_off(connection: Connection, removal: Removal) -> None:
    """Count the files no longer among those of the attempt that they belong to."""
    column = {"outputs": schema.attempts.c.outputs_bytes, "log": schema.attempts.c.log_bytes}.get(removal.kind)
    if column is not None:
        own = schema.attempts.update().where(schema.attempts.c.task_id == removal.task_id)
        connection.execute(own.values({column.name: column - removal.size_bytes}))
