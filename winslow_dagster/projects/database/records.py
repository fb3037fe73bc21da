"""The project tables as plain calls: projects, inputs, runs and attempts."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Self

from winslow_dagster.projects.database.attempts import Attempts
from winslow_dagster.projects.database.engine import LOCK_TIMEOUT_S, Database
from winslow_dagster.projects.database.locks import LockHolder
from winslow_dagster.projects.database.projects_and_inputs import ProjectsAndInputs
from winslow_dagster.projects.database.runs import Runs
from winslow_dagster.projects.domain.model import checked_name


class ProjectRecords(ProjectsAndInputs, Runs, Attempts):
    """Every method is one transaction, safe from any thread and process, and may be called again after a crash.

    All raise ServiceUnavailable when the database does not answer, and NotFound for a project that does not exist.
    """

    @classmethod
    def open(cls, database_url: str) -> Self:
        """The records at a SQLAlchemy address. Creates or upgrades their tables first."""
        return cls(Database(database_url))

    @property
    def database(self) -> Database:
        """The database, for classes with tables of their own."""
        return self._database

    def close(self) -> None:
        """Close the database connections."""
        self._database.close()

    def project_lock(
        self, project: str, *, holder: str = "", purpose: str = "", timeout_s: float = LOCK_TIMEOUT_S
    ) -> AbstractContextManager[None]:
        """Keep others from deciding about this project inside the block. `purpose` is shown to those who wait.

        Raises ProjectConflict, naming the holder, where another holds the lock for longer than `timeout_s`.
        """
        name = checked_name(project)
        by = LockHolder(holder, purpose)
        return self._database.alone(f"project-{name}", by, where=f"project {name}", timeout_s=timeout_s)
