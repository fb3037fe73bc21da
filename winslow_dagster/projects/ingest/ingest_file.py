"""From a file that landed to a project that runs: exactly one of each, whatever is killed, and whenever.

Every step is written down before it is begun, and can be done again. Only asking Dagster for a run cannot: a file that
was found in the middle of that is left alone until the request must have been answered, and then Dagster is asked
whether it has a run before another is launched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from winslow_dagster.errors import (
    DiskFull,
    InputRejected,
    ProjectConflict,
    ServiceUnavailable,
    StoreError,
    StoreUnreachable,
    WinslowError,
)
from winslow_dagster.pipelines.patterns import compile_pattern
from winslow_dagster.projects.dagster_api.client import ANSWER_TIMEOUT_S
from winslow_dagster.projects.database.runs_and_attempts import UNKNOWN_REQUESTER
from winslow_dagster.projects.domain.model import RunRecord
from winslow_dagster.projects.ingest.config import Watch
from winslow_dagster.projects.ingest.naming import candidates, project_name
from winslow_dagster.projects.ingest.scan import fault
from winslow_dagster.projects.ingest.sources import Listed, Place, Watched, gone
from winslow_dagster.projects.ingest.table import Landing, Landings

if TYPE_CHECKING:
    from winslow_dagster.projects.commands.installation import Installation

IN_DOUBT = timedelta(seconds=ANSWER_TIMEOUT_S)
"""A launch that was begun longer ago than this has led to a run by now, or will lead to none."""
PASSING = (ServiceUnavailable, StoreUnreachable, DiskFull)
"""What is wrong with none of the files: nothing else is tried before the next pass."""


@dataclass(frozen=True, slots=True)
class TakingIn:
    """Takes in the files of one watch, as the `actor` of its `actions`. The `clock` is read at every step."""

    actions: Installation
    landings: Landings
    watched: Watched
    clock: Callable[[], datetime]

    @property
    def watch(self) -> Watch:
        """What the file of watches says."""
        return self.watched.watch

    @property
    def place(self) -> Place:
        """Where the files are."""
        return self.watched.place

    def take(self, landing: Landing) -> Landing:
        """Take one as far as it goes: to `running` or `taken`, or to where something is wrong with it.

        Raises ServiceUnavailable, StoreUnreachable, DiskFull; the file is then where it was, with the reason.
        """
        try:
            return self._taken(landing)
        except PASSING as error:
            said = str(error)
            self._keep_current(landing, lambda current: replace(current, reason=said))
            raise
        except InputRejected as error:
            said = fault(error)
            return self._keep_current(landing, lambda current: current.now("set_aside", self.clock(), said))
        except StoreError as error:
            # The file changed while it was copied, perhaps; it is looked at again from the beginning.
            now, said = self.clock(), str(error)
            return self._keep_current(
                landing, lambda current: replace(current, steady_since=now).now("growing", now, said)
            )
        except WinslowError as error:
            said = str(error)
            return self._keep_current(landing, lambda current: current.now("failed", self.clock(), said))

    def _keep_current(self, landing: Landing, change: Callable[[Landing], Landing]) -> Landing:
        """Keep a change of what the table has: steps may have been written down since `landing` was read."""
        return self.landings.keep(change(self.landings.get(landing.id)))

    def _taken(self, landing: Landing) -> Landing:
        if landing.state == "launching":
            begun = landing.settled_at or landing.steady_since
            if self._run_of(landing) is None and self.clock() - begun < IN_DOUBT:
                return landing
        else:
            file = self.place.file(landing.path)
            if file is None:
                raise gone(self.place.address(landing.path))
            if (file.size_bytes, file.modified) != (landing.size_bytes, landing.modified):
                now = self.clock()
                changed = replace(landing, size_bytes=file.size_bytes, modified=file.modified, steady_since=now)
                return self.landings.keep(changed.now("growing", now))
            landing = self._made(self._named(landing, file), file)
            if not self.watch.start:
                return self.landings.keep(landing.now("taken", self.clock()))
        landing = self.landings.keep(landing.now("launching", self.clock()))
        run_id = self._run_of(landing) or self._launched(landing)
        return self.landings.keep(replace(landing, run_id=run_id).now("running", self.clock()))

    def _named(self, landing: Landing, file: Listed) -> Landing:
        """With a project's name of its own. The file is looked into once more: it may have waited for days."""
        if landing.state == "taking":
            return landing
        self.watched.check(file)
        if landing.project is not None:
            return self.landings.keep(landing.now("taking", self.clock()))
        return self.landings.reserve(landing, self._names(landing, file), self.clock())

    def _names(self, landing: Landing, file: Listed) -> tuple[str, ...]:
        path = PurePosixPath(landing.path)
        suffix = max(
            (s for s in self.watched.asked.suffixes if path.name.lower().endswith(s.lower())), key=len, default=None
        )
        values = {
            "stem": path.name[: -len(suffix)] if suffix else path.stem,
            "parent": PurePosixPath(self.place.address(landing.path)).parent.name,
            "date": f"{file.modified_at:%Y-%m-%d}",
        }
        if self.watch.match is not None:
            found = compile_pattern(self.watch.match).search(landing.path.encode(errors="replace").decode())
            if found is None:
                raise InputRejected("its path does not match", expected=self.watch.match)
            values |= {name: text or "" for name, text in found.groupdict().items()}
        return tuple(candidates(project_name(self.watch.project, values), _digest(landing)))

    def _made(self, landing: Landing, file: Listed) -> Landing:
        """With its project, which has the file."""
        landing = self._created(landing, file)
        project, records = _project_of(landing), self.actions.records
        if self.watched.input_name not in records.project(project).inputs:
            address = f"projects/{project}/inputs/{self.watched.input_name}/{_digest(landing)[:32]}"
            with self.place.local(file) as path:
                manifest = self.actions.store.put_file(path, address)
            if manifest.size_bytes != landing.size_bytes:
                raise StoreError("it has grown while it was copied", where=self.place.address(landing.path))
            records.add_input(
                project,
                self.watched.input_name,
                manifest,
                original_path=self.place.address(landing.path),
                added_by=self.actions.actor.who,
            )
        return landing

    def _created(self, landing: Landing, file: Listed) -> Landing:
        """With its project. A person may have made one of that name meanwhile: then it gets another name."""
        while True:
            project = _project_of(landing)
            try:
                self.actions.create(self.watch.pipeline, project, env=self.watch.env, tags=self.watch.tags)
            except ProjectConflict:
                if self.actions.records.project(project).created_by == self.actions.actor.who:
                    # Killed before; what follows the making of a project may be missing.
                    self.actions.annotations.set_tags(project, self.watch.tags)
                    return landing
                landing = self.landings.reserve(landing, self._names(landing, file), self.clock())
            else:
                return landing

    def _launched(self, landing: Landing) -> str:
        reason = f"{self.place.address(landing.path)} landed"
        try:
            return self.actions.run(self.watch.pipeline, _project_of(landing), reason=reason).run_id
        except ProjectConflict:
            run_id = self._run_of(landing)
            if run_id is None:
                raise
            return run_id

    def _run_of(self, landing: Landing) -> str | None:
        """The run its project has, from our tables or from Dagster's; one that only Dagster has is noted."""
        project = _project_of(landing)
        noted = self.actions.records.runs(project)
        if noted and noted[-1].requested_by != UNKNOWN_REQUESTER:
            return noted[-1].run_id
        found = self.actions.dagit().runs(project=project)
        if not found:
            return None
        first = found[-1]
        self.actions.records.record_run(
            RunRecord(
                run_id=first.run_id,
                project=project,
                pipeline=self.watch.pipeline,
                pipeline_digest=self.actions.records.project(project).pipeline_digest,
                launched_at=first.created_at,
                requested_by=self.actions.actor.who,
                via=self.actions.actor.via,
                reason=f"{self.place.address(landing.path)} landed",
            )
        )
        return first.run_id


def _digest(landing: Landing) -> str:
    """Another one for another file, and for another content of the same."""
    said = "\0".join((landing.watch, landing.path, str(landing.size_bytes), landing.modified))
    return sha256(said.encode(errors="surrogateescape")).hexdigest()


def _project_of(landing: Landing) -> str:
    assert landing.project is not None  # noqa: S101  # it is given one before anything is made
    return landing.project
