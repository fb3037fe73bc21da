"""Projects and their inputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, select
from sqlalchemy.engine import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from winslow_dagster.actions import Action
from winslow_dagster.errors import NotFound, ProjectConflict
from winslow_dagster.pipelines.variables import Layer, plain_variables, read_variables
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import (
    Database,
    deleted_project,
    hold_any_project,
    hold_project,
    unknown_project,
)
from winslow_dagster.projects.domain.model import InputVersion, Project, checked_name
from winslow_dagster.storage.manifest import Manifest

INPUT = [schema.inputs.c[field.name] for field in fields(InputVersion)]
COLUMNS = [schema.projects.c[field.name] for field in fields(Project) if field.name != "inputs"]


def _newest_inputs(*conditions: ColumnElement[bool]) -> Select[Any]:
    """The newest version of each input."""
    table = schema.inputs
    newest = (
        select(table.c.project, table.c.name, func.max(table.c.version).label("version"))
        .where(*conditions)
        .group_by(table.c.project, table.c.name)
        .subquery()
    )
    same = (table.c.project == newest.c.project, table.c.name == newest.c.name, table.c.version == newest.c.version)
    return select(*INPUT).join(newest, and_(*same)).order_by(table.c.project, table.c.name)


# Made once: every look at a project reads its inputs, and to make the statement takes longer than to execute it.
INPUTS_IN_USE = _newest_inputs()
INPUTS_OF_PROJECT = _newest_inputs(schema.inputs.c.project == bindparam("of_project"))


class ProjectsAndInputs:
    """See `ProjectRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_project(self, name: str, *, pipeline: str, pipeline_digest: str, env: Layer, created_by: str) -> Project:
        """Create a project. Raises InputRejected for an invalid name, ProjectConflict for one that is taken.

        A deleted project keeps its name until it is gone.
        """
        created_at = datetime.now(UTC)
        project = Project(
            checked_name(name), pipeline, pipeline_digest, dict(env), created_at, created_by, owner=created_by
        )
        row = {key: value for key, value in asdict(project).items() if key != "inputs"}
        row["env"] = plain_variables(env)
        try:
            with self._database.writing() as connection:
                connection.execute(schema.projects.insert().values(row))
        except IntegrityError as error:
            self.find_project(name)
            raise ProjectConflict(f"the project {name!r} already exists", where=f"project {name}") from error
        return project

    def project(self, name: str) -> Project:
        """The project of that name, with its current inputs. Raises NotFound, and ProjectDeleted for a deleted one."""
        found = self.find_project(name)
        if found is None:
            raise unknown_project(name)
        return found

    def find_project(self, name: str) -> Project | None:
        """The same, or None if there is no such project."""
        deletion = (schema.projects.c.deleted_at, schema.projects.c.deleted_by, schema.projects.c.purged_at)
        with self._database.reading() as connection:
            query = select(*COLUMNS, *deletion).where(schema.projects.c.name == name)
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            if row.deleted_at is not None:
                raise deleted_project(row)
            return _project(row._mapping, _inputs_in_use(connection, name))  # noqa: SLF001  # public, despite its name

    def require_project(self, name: str) -> None:
        """Raise NotFound if there is no project of that name, deleted or not."""
        with self._database.reading() as connection:
            hold_any_project(connection, name)

    def projects(self) -> tuple[Project, ...]:
        """All projects by name, without deleted ones."""
        with self._database.reading() as connection:
            query = select(*COLUMNS).where(schema.LIVE).order_by(schema.projects.c.name)
            rows = connection.execute(query).mappings().all()
            inputs: dict[str, list[InputVersion]] = {}
            for found in _inputs_in_use(connection):
                inputs.setdefault(found.project, []).append(found)
        return tuple(_project(row, inputs.get(row["name"], ())) for row in rows)

    def names(self, among: Iterable[str] | None = None) -> frozenset[str]:
        """The names that are taken, also by deleted projects: all, or those among these."""
        name = schema.projects.c.name
        query = select(name) if among is None else select(name).where(name.in_(list(among)))
        with self._database.reading() as connection:
            return frozenset(connection.execute(query).scalars())

    def held_versions(self) -> frozenset[tuple[str, str]]:
        """Name and digest of every pipeline version that a project uses, also a deleted one: it may be restored."""
        table = schema.projects
        with self._database.reading() as connection:
            rows = connection.execute(select(table.c.pipeline, table.c.pipeline_digest).distinct())
            return frozenset((name, digest) for name, digest in rows)

    def latest_runs(self) -> frozenset[str]:
        """The run of each project that was launched last, also of deleted projects."""
        latest = schema.projects.c.latest_run
        with self._database.reading() as connection:
            return frozenset(connection.execute(select(latest).where(latest.is_not(None))).scalars())

    def projects_with(self, pipeline: str) -> tuple[tuple[str, str], ...]:
        """Name and pipeline version of the projects that use this pipeline, by name."""
        table = schema.projects
        uses = (table.c.pipeline == pipeline, schema.LIVE)
        query = select(table.c.name, table.c.pipeline_digest).where(*uses).order_by(table.c.name)
        with self._database.reading() as connection:
            return tuple((name, digest) for name, digest in connection.execute(query))

    def pin_pipeline(self, project: str, pipeline: str, digest: str) -> None:
        """Have the project's next runs use this version of this pipeline."""
        with self._database.writing() as connection:
            done = connection.execute(
                schema.projects.update()
                .where(schema.projects.c.name == project)
                .values(pipeline=pipeline, pipeline_digest=digest)
            )
        if done.rowcount == 0:
            raise unknown_project(project)

    def add_input(
        self,
        project: str,
        name: str,
        manifest: Manifest,
        *,
        original_path: str,
        added_by: str,
    ) -> InputVersion:
        """Make a file the current input of this name; earlier versions stay in the history.

        Adding the current content again changes nothing. If two people add at the same time, the later one is used.
        Raises NotFound if it is a file of the pool that was removed meanwhile.
        """
        with self._database.writing() as connection:
            # Locks the project's row, so that each version number is used once.
            hold_project(connection, project)
            in_use = next((found for found in _inputs_in_use(connection, project) if found.name == name), None)
            if in_use is not None and in_use.manifest.files == manifest.files:
                return in_use
            pool_id = _hold_pooled(connection, manifest)
            version = 1 if in_use is None else in_use.version + 1
            added = InputVersion(project, name, version, manifest, original_path, datetime.now(UTC), added_by)
            row = {**asdict(added), "pool_id": pool_id, "manifest": manifest.model_dump(mode="json")}
            connection.execute(schema.inputs.insert().values(row))
        return added

    def inputs(self, project: str) -> tuple[InputVersion, ...]:
        """The current inputs, by name."""
        with self._database.reading() as connection:
            hold_project(connection, project)
            return _inputs_in_use(connection, project)


def _hold_pooled(connection: Connection, manifest: Manifest) -> str | None:
    """If this is a file of the pool, keep it there until the transaction ends, and return its id.

    Raises NotFound if it was removed.
    """
    root, _, rest = manifest.address.partition("/")
    if root != schema.POOL_ADDRESS:
        return None
    table, pool_id = schema.pool, rest.rpartition("/")[2]
    held = select(table.c.deleted_at).where(table.c.id == pool_id).with_for_update(read=True)
    row = connection.execute(held).one_or_none()
    if row is None or row.deleted_at is not None:
        name = rest.partition("/")[0]
        raise NotFound(f"{name!r} was removed from the pool meanwhile", remedy=Action("list_pool_files"))
    return pool_id


def _inputs_in_use(connection: Connection, project: str | None = None) -> tuple[InputVersion, ...]:
    if project is None:
        rows = connection.execute(INPUTS_IN_USE).mappings()
    else:
        rows = connection.execute(INPUTS_OF_PROJECT, {"of_project": project}).mappings()
    return tuple(map(input_version, rows))


def input_version(row: RowMapping) -> InputVersion:
    """The value of a row that has the columns `INPUT`."""
    values = {column.name: row[column.name] for column in INPUT}
    return InputVersion(**{**values, "manifest": Manifest.model_validate(row["manifest"])})


def _project(row: RowMapping, inputs: Iterable[InputVersion]) -> Project:
    values = {column.name: row[column.name] for column in COLUMNS}
    values |= {"tags": tuple(row["tags"]), "env": read_variables(row["env"])}
    return Project(**values, inputs={found.name: found.manifest for found in inputs})
