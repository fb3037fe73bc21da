"""Takes what the rules let go, says how much room everything has, and loses nothing when it is killed.

What goes is written down first, in one transaction with the attempts that lose outputs by it, and only then deleted:
whatever was not done when a process died is done by the next pass. From the moment it is written down, nobody counts on
it any more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import groupby

from sqlalchemy import select

from winslow_dagster.engines.engine import Engine
from winslow_dagster.errors import NotFound, WinslowError
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.retention.inventory import bytes_below, histories, referring_projects
from winslow_dagster.projects.retention.pins import Pin, Pins
from winslow_dagster.projects.retention.rules import Removal, what_goes
from winslow_dagster.settings import Settings
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.store import Store


@dataclass(frozen=True, slots=True)
class Plan:
    """What would go at a moment."""

    at: datetime
    removals: tuple[Removal, ...]

    @property
    def size_bytes(self) -> int:
        """How much that frees."""
        return sum(removal.size_bytes for removal in self.removals)


@dataclass(frozen=True, slots=True)
class StageUse:
    """The room that one stage of a project takes. What several attempts share is counted once, with its owner."""

    project: str
    stage: str
    attempts: int
    outputs_bytes: int
    logs_bytes: int
    leftovers_bytes: int


@dataclass(frozen=True, slots=True)
class DiskUse:
    """The room that everything takes. `inputs_bytes` by project, all versions and what came with answers; `cache_bytes`
    is this node's cache of inputs.
    """

    stages: tuple[StageUse, ...]
    inputs_bytes: dict[str, int]
    cache_bytes: int


class Cleanup:
    """All methods raise ServiceUnavailable; those that delete also StoreError and EngineError."""

    def __init__(self, records: ProjectRecords, store: Store, settings: Settings, engine: Engine) -> None:
        self._records = records
        self._database = records.database
        self._store = store
        self._settings = settings
        self._engine = engine
        self._keeping = Pins(records.database)

    def plan(self, project: str | None = None, *, now: datetime | None = None) -> Plan:
        """What would go, of all projects or of one, and why. Changes nothing. Raises NotFound."""
        at = now or datetime.now(UTC)
        if project is None:
            return Plan(at, what_goes(histories(self._records, self._settings, None), at))
        self._records.project(project)
        involved = referring_projects(self._records, project)
        removals = what_goes(histories(self._records, self._settings, involved), at)
        return Plan(at, tuple(removal for removal in removals if removal.project == project))

    def carry_out(self, plan: Plan, stop: Callable[[], bool] = lambda: False) -> int:
        """Delete what is planned and may still go, and what an earlier pass left undone. Gives the bytes freed.

        `stop` is asked before each step. What fails is left for the next pass, and its error is raised at the end.
        """
        freed_bytes = self._finish(stop)
        for project, removals in groupby(plan.removals, lambda removal: removal.project):
            if stop():
                break
            self._decide(project, set(removals), plan.at)
            freed_bytes += self._finish(stop)
        return freed_bytes

    def disk_use(self, project: str | None = None) -> DiskUse:
        """How much room projects and stages take, by the tables and by what lies on this node. Raises NotFound."""
        if project is not None:
            self._records.project(project)
        stages: dict[tuple[str, str], list[int]] = {}
        for history in histories(self._records, self._settings, None if project is None else {project}):
            for made in history.made:
                use = stages.setdefault((history.project, made.attempt.stage), [0, 0, 0, 0])
                own = sum(entry.size_bytes for entries in made.trees.values() for entry in entries)
                logged = made.log.size_bytes if made.log is not None else 0
                for index, more in enumerate((1, own, logged, made.leftover_bytes or 0)):
                    use[index] += more
        return DiskUse(
            stages=tuple(StageUse(*of, *use) for of, use in sorted(stages.items())),
            inputs_bytes=self._inputs_bytes(project),
            cache_bytes=bytes_below(self._settings.cache_dir / "blobs"),
        )

    def pin(self, project: str, stage: str, attempt: int, *, by: str, reason: str = "") -> Pin:
        """Nothing of the stage's attempt of that number (from 1, over all runs) goes from now on. Raises NotFound."""
        return self._keeping.pin(self._task_id(project, stage, attempt), by, reason)

    def unpin(self, project: str, stage: str, attempt: int) -> None:
        """The rules hold for it again. Raises NotFound where there is no such attempt, or it was not pinned."""
        self._keeping.unpin(self._task_id(project, stage, attempt))

    def pins(self, project: str | None = None) -> tuple[Pin, ...]:
        """What is pinned."""
        return self._keeping.pins(project)

    def _task_id(self, project: str, stage: str, attempt: int) -> str:
        attempts = [each for each in self._records.attempts(project) if each.stage == stage]
        if not 1 <= attempt <= len(attempts):
            raise NotFound(
                f"there is no attempt {attempt}" if attempts else "the stage has not begun yet",
                where=f"{project}/{stage}",
                expected=f"an attempt from 1 to {len(attempts)}" if attempts else "",
            )
        return attempts[attempt - 1].task_id

    def _decide(self, project: str, planned: Collection[Removal], at: datetime) -> None:
        """Write down what goes of a project, while nobody else decides about it: only what may still go now."""
        with self._records.project_lock(project):
            removals = [removal for removal in self.plan(project, now=at).removals if removal in planned]
            for removal in removals:
                self._note(removal)

    def _note(self, removal: Removal) -> None:
        attempts = schema.attempts
        losing = set(removal.task_ids)
        row = {name: value for name, value in asdict(removal).items() if name not in {"task_id", "task_ids"}}
        with self._database.writing() as connection:
            # Whoever lets an attempt stand for another one takes its row too, and then one of the two comes first.
            held = select(attempts.c.task_id).where(attempts.c.task_id.in_(losing)).with_for_update()
            connection.execute(held)
            theirs = select(attempts.c.output_address).where(attempts.c.task_id.in_(losing))
            taken = select(attempts.c.task_id).where(
                attempts.c.output_address.in_(theirs), attempts.c.outputs_removed_at.is_(None)
            )
            reusing = select(attempts.c.task_id).where(
                attempts.c.reused_from.in_(losing), attempts.c.ended_at.is_(None)
            )
            if not losing.issuperset(connection.execute(taken.union(reusing)).scalars()):
                return  # one that began to use it just now: another pass looks again
            now = datetime.now(UTC)
            connection.execute(schema.removals.insert().values(row | {"decided_at": now}))
            connection.execute(
                attempts.update()
                .where(attempts.c.task_id.in_(losing), attempts.c.outputs_removed_at.is_(None))
                .values(outputs_removed_at=now)
            )

    def _finish(self, stop: Callable[[], bool]) -> int:
        """Do what was decided, by whichever pass."""
        table = schema.removals
        with self._database.reading() as connection:
            query = select(table).where(table.c.done_at.is_(None)).order_by(table.c.id)
            rows = connection.execute(query).mappings().all()
        freed_bytes = 0
        failure: WinslowError | None = None
        for row in rows:
            if stop():
                break
            try:
                freed = self._delete(row["kind"], row["address"], row["paths"], row["size_bytes"])
            except WinslowError as error:
                failure = failure or error
                continue
            with self._database.writing() as connection:
                mine = table.update().where(table.c.id == row["id"], table.c.done_at.is_(None))
                done = connection.execute(mine.values(done_at=datetime.now(UTC), freed_bytes=freed))
            freed_bytes += freed if done.rowcount else 0
        if failure is not None:
            raise failure
        return freed_bytes

    def _delete(self, kind: str, address: str, paths: Collection[str] | None, size_bytes: int) -> int:
        if kind == "leftovers":
            there = (self._settings.tasks_dir / address).exists()
            self._engine.forget(address)
            return size_bytes if there else 0
        return self._store.delete_tree(address) if paths is None else self._store.delete_files(address, paths)

    def _inputs_bytes(self, project: str | None) -> dict[str, int]:
        sizes: dict[str, int] = {}
        seen: set[tuple[str, str]] = set()
        with self._database.reading() as connection:
            for table in (schema.inputs, schema.answers):
                query = select(table.c.project, table.c.manifest)
                if project is not None:
                    query = query.where(table.c.project == project)
                for row in connection.execute(query):
                    manifest = Manifest.model_validate(row.manifest)
                    for entry in manifest.files:
                        place = manifest.place(entry)
                        if (place.address, place.path) not in seen:
                            seen.add((place.address, place.path))
                            sizes[row.project] = sizes.get(row.project, 0) + entry.size_bytes
        return sizes
