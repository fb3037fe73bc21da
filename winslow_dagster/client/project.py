"""One project over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from winslow_dagster.client.downloads import Begun, download
from winslow_dagster.client.footage import ProjectFootageClient
from winslow_dagster.client.http import part
from winslow_dagster.client.log import LogClient
from winslow_dagster.client.run import RunClient
from winslow_dagster.errors import InputRejected
from winslow_dagster.projects.domain.audit import AuditEntry
from winslow_dagster.projects.domain.deletion import Deletion, DeletionEffect
from winslow_dagster.projects.domain.lineage_view import ProjectLineage
from winslow_dagster.projects.domain.run_plan import RunPlan, StageParameters
from winslow_dagster.projects.domain.sweeps import Sweep, SweepSummary
from winslow_dagster.projects.domain.todo import Todo
from winslow_dagster.projects.domain.views import (
    AttemptDetails,
    HistoryLine,
    HistoryPage,
    ProjectFile,
    ProjectStatus,
    QuestionDetails,
    QuestionView,
    StageSettings,
)
from winslow_dagster.storage.archives import ArchiveFormat
from winslow_dagster.storage.manifest import stays_inside
from winslow_dagster.storage.range_reader import RangeReader
from winslow_dagster.storage.store import BytesMoved

PAGE = 1_000
READ_BYTES = 1 << 20


class _Stage(BaseModel):
    attempt: AttemptDetails | None
    settings: StageSettings


class _Notes(BaseModel):
    notes: str


class _Tags(BaseModel):
    tags: tuple[str, ...]


class _Replaced(BaseModel):
    task_id: str


class _Sweep(BaseModel):
    run_ids: tuple[str, ...]


class Started(BaseModel):
    """The run that continues in the background; None if nothing has to run."""

    project: str
    run_id: str | None


class ProjectClient(ProjectFootageClient):
    """Like the handle of a project that the Python API has. See `ProjectHandle` for what each method raises."""

    def __repr__(self) -> str:
        return f"ProjectClient({self.name!r})"

    def status(self) -> ProjectStatus:
        """Its status, with its stages."""
        return self._http.get(ProjectStatus, self._path)

    def history(self, stage: str | None = None) -> tuple[HistoryLine, ...]:
        """All attempts of all stages or of one, in the order in which they started."""
        lines: list[HistoryLine] = []
        while True:
            page = self.history_page(stage, limit=PAGE, offset=len(lines))
            lines += page.lines
            if len(lines) >= page.total or not page.lines:
                return tuple(reversed(lines))

    def history_page(self, stage: str | None = None, *, limit: int, offset: int = 0) -> HistoryPage:
        """Some of its history, the latest first."""
        return self._http.get(HistoryPage, f"{self._path}/history", stage=stage, limit=limit, offset=offset)

    def details(
        self, stage: str, attempt: str | int | None = None, *, pipeline: str | None = None
    ) -> AttemptDetails | None:
        """The stage's latest attempt, or one of its attempts, with what its runner reported. None if it has none."""
        return self._stage(stage, attempt, pipeline).attempt

    def settings(self, stage: str, attempt: str | int | None = None, *, pipeline: str | None = None) -> StageSettings:
        """What the stage's latest attempt, or one of its attempts, ran with; before its first, what it would."""
        return self._stage(stage, attempt, pipeline).settings

    def usage(self, stage: str, attempt: str | int | None = None, *, pipeline: str | None = None) -> dict[str, Any]:
        """What the stage's latest attempt, or one of its attempts, uses or used over its time, as in docs/rest.md."""
        path = f"{self._path}/stages/{part(stage)}/usage"
        return self._http.get(dict[str, Any], path, attempt=attempt, pipeline=pipeline)

    def _stage(self, stage: str, attempt: str | int | None, pipeline: str | None) -> _Stage:
        return self._http.get(_Stage, f"{self._path}/stages/{part(stage)}", attempt=attempt, pipeline=pipeline)

    def run(self, run_id: str) -> RunClient:
        """One run, such as one of a sweep. Raises NotFound."""
        run = RunClient(self._http, self.name, run_id)
        run.has_ended()
        return run

    def audit(self) -> tuple[AuditEntry, ...]:
        """Who did what with it, the latest first."""
        return self._http.get(tuple[AuditEntry, ...], f"{self._path}/audit", limit=PAGE)

    def files(
        self, stage: str | None = None, attempt: str | int | None = None, *, pipeline: str | None = None
    ) -> tuple[ProjectFile, ...]:
        """The current output files of all stages or of one; or those of one attempt.

        `local_path` is where the server can read a file.
        """
        return self._http.get(
            tuple[ProjectFile, ...], f"{self._path}/files", stage=stage, attempt=attempt, pipeline=pipeline
        )

    def open_file(self, file: ProjectFile, attempt: str | int | None = None) -> BufferedReader:
        """A file for reading from any position; only the ranges that are read are fetched.

        Name the attempt of a file that is no current output. Reading raises StoreError if another file has taken its
        place.
        """
        path = f"{self._path}/files/{part(file.stage)}/{quote(file.path)}"
        pipeline = file.pipeline if attempt is None else None

        def read(begin: int, end: int) -> bytes:
            return self._http.read_range(path, begin, end, file.blake3, attempt=attempt, pipeline=pipeline)

        return BufferedReader(RangeReader(read, file.size_bytes), READ_BYTES)

    def fetch(self, file: ProjectFile, directory: str | Path, moved: BytesMoved | None = None) -> Path:
        """Copy a current output file to `<directory>/<stage>/<path>`, and return that. Goes on like `download`."""
        target = Path(directory).expanduser() / stays_inside(file.stage) / stays_inside(file.path)
        path = f"{self._path}/files/{part(file.stage)}/{quote(file.path)}"
        started = None if moved is None else lambda _name, _size_bytes: moved
        return download(self._http, path, target, started, pipeline=file.pipeline)

    def download(  # noqa: PLR0913  # which folder, and how, by name
        self,
        target: str | Path,
        stage: str | None = None,
        attempt: str | int | None = None,
        *,
        pipeline: str | None = None,
        form: ArchiveFormat = "tar",
        started: Begun | None = None,
    ) -> Path:
        """Save the current outputs of all stages or of one, or those of an attempt, as one archive.

        Goes on where an earlier call stopped, if the folder has not changed since. An interruption is waited for, for
        ten minutes at most. Raises ProjectConflict if there is a file `target`, DiskFull, ServiceUnavailable.
        """
        query = {"stage": stage, "attempt": attempt, "pipeline": pipeline, "format": form}
        return download(self._http, f"{self._path}/archive", Path(target).expanduser(), started, **query)

    def log(self, stage: str, attempt: str | int | None = None) -> LogClient:
        """The log of the stage's latest attempt, or of one of its attempts: in windows, with levels, searched."""
        return LogClient(self._http, f"{self._path}/stages/{part(stage)}/log", attempt)

    def pause(self, after: str | None = None) -> None:
        """Start no further stage, or none that follows `after`; running stages finish first."""
        self._http.send("POST", f"{self._path}/pause", body={"after": after})

    def resume(self, *, pipeline: str | None = None, reason: str = "") -> RunClient:
        """Continue where it stopped. A pending pause is withdrawn."""
        return self._started("resume", {"pipeline": pipeline, "reason": reason})

    def cancel(self) -> RunClient:
        """Request the end of its run, or of all runs of its sweep, with their stages."""
        return self._started("cancel", {})

    def parameters(
        self, stage: str, attempt: str | int | None = None, *, pipeline: str | None = None
    ) -> StageParameters:
        """Everything that can be set for the stage when it runs again, beside its latest attempt or one of them."""
        path = f"{self._path}/stages/{part(stage)}/parameters"
        return self._http.get(StageParameters, path, attempt=attempt, pipeline=pipeline)

    def plan(  # noqa: PLR0913  # what a person may say about a redo or a sweep, by name
        self,
        stage: str,
        *,
        pipeline: str | None = None,
        env: Mapping[str, Any] | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        inputs: Mapping[str, str] | None = None,
        use: Mapping[str, str | int] | None = None,
        only: bool = False,
        stop_after: str | None = None,
        reuse: bool = False,
        values: Mapping[str, Sequence[str]] | None = None,
        max_concurrent: int | None = None,
    ) -> RunPlan:
        """What `redo` would do, or with `values` what `sweep` would do; nothing is started or changed."""
        body = _redone(stage, pipeline, env, settings, use) | {
            "inputs": dict(inputs or {}),
            "only": only,
            "stop_after": stop_after,
            "reuse": reuse,
            "values": None if values is None else _listed(values),
            "max_concurrent": max_concurrent,
        }
        return self._http.post(RunPlan, f"{self._path}/plan", body)

    def redo(  # noqa: PLR0913  # what a person may say about a redo, by name
        self,
        stage: str,
        *,
        pipeline: str | None = None,
        env: Mapping[str, Any] | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        inputs: Mapping[str, str] | None = None,
        use: Mapping[str, str | int] | None = None,
        only: bool = False,
        stop_after: str | None = None,
        reuse: bool = False,
        reason: str = "",
    ) -> RunClient:
        """Run the stage and the stages that follow it again. `inputs` are files of the pool: `pool:NAME`."""
        body = _redone(stage, pipeline, env, settings, use) | {
            "inputs": dict(inputs or {}),
            "only": only,
            "stop_after": stop_after,
            "reuse": reuse,
            "reason": reason,
        }
        return self._started("redo", body)

    def sweep(  # noqa: PLR0913  # what a person may say about a sweep, by name
        self,
        stage: str,
        values: Mapping[str, Sequence[str]],
        *,
        pipeline: str | None = None,
        env: Mapping[str, Any] | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        use: Mapping[str, str | int] | None = None,
        stop_after: str | None = None,
        reuse: bool = False,
        max_concurrent: int | None = None,
        reason: str = "",
    ) -> tuple[RunClient, ...]:
        """Run the stage once for every combination of the variables' values, side by side; `pick` chooses one."""
        body = _redone(stage, pipeline, env, settings, use) | {
            "values": _listed(values),
            "stop_after": stop_after,
            "reuse": reuse,
            "max_concurrent": max_concurrent,
            "reason": reason,
        }
        started = self._http.post(_Sweep, f"{self._path}/sweep", body)
        return tuple(RunClient(self._http, self.name, run_id) for run_id in started.run_ids)

    def delete(self, reason: str = "") -> Deletion:
        """Delete it: it is hidden, can be restored for a while, and is then removed for good."""
        return self._http.delete(Deletion, self._path, reason=reason)

    def deletion_effect(self) -> DeletionEffect:
        """What it would mean to delete it."""
        return self._http.get(DeletionEffect, f"{self._path}/deletion-effect")

    def restore(self) -> None:
        """Undo that it was deleted."""
        self._http.send("POST", f"{self._path}/restore")

    def dismiss(self) -> None:
        """Take note that its latest run failed: it no longer waits for a person, until it fails again."""
        self._http.send("POST", f"{self._path}/dismiss")

    def undismiss(self) -> None:
        """Have its failure wait for a person again."""
        self._http.send("POST", f"{self._path}/undismiss")

    def sweeps(self) -> tuple[SweepSummary, ...]:
        """All its sweeps, the latest first."""
        return self._http.get(tuple[SweepSummary, ...], f"{self._path}/sweeps")

    def sweep_runs(self, sweep: str = "latest") -> Sweep:
        """One sweep, by its id or the latest, with its runs and what picking one would do. Raises NotFound."""
        return self._http.get(Sweep, f"{self._path}/sweeps/{part(sweep)}")

    def lineage(self) -> ProjectLineage:
        """Which of its outputs were made from which, in all its pipelines."""
        return self._http.get(ProjectLineage, f"{self._path}/lineage")

    def questions(self) -> tuple[QuestionView, ...]:
        """The questions that a person has to answer before the project can continue."""
        return self._http.get(tuple[QuestionView, ...], f"{self._path}/questions")

    def question(self, stage: str, *, pipeline: str | None = None) -> QuestionDetails:
        """The stage's open question, or the one that was answered last, with what people have entered."""
        return self._http.get(QuestionDetails, f"{self._path}/questions/{part(stage)}", pipeline=pipeline)

    def answer(  # noqa: PLR0913  # what a person may say about an answer, by name
        self,
        stage: str,
        values: Mapping[str, Any] | None = None,
        files: Mapping[str, str | Path] | None = None,
        *,
        pipeline: str | None = None,
        resume: bool = True,
        replaces: int | None = None,
    ) -> RunClient | None:
        """Answer the stage's question, and resume if no other is open; returns the run, if one was started.

        `files` are sent, at most 100 MiB in all. `replaces` is the version of an earlier answer that is given again.
        """
        if files:
            fields = {"values": json.dumps(dict(values or {})), "resume": json.dumps(resume)}
            fields |= {} if replaces is None else {"replaces": str(replaces)}
            sent = {f"file.{name}": Path(file).expanduser() for name, file in files.items()}
            target = f"{self._path}/questions/{part(stage)}/answer"
            started = self._http.post_form(Started, target, fields, sent, pipeline=pipeline)
            return None if started.run_id is None else RunClient(self._http, self.name, started.run_id)
        answered = {"stage": stage, "values": dict(values or {}), "pipeline": pipeline}
        body = answered | {"resume": resume, "replaces": replaces}
        started = self._http.post(Started, f"{self._path}/answer", body)
        return None if started.run_id is None else RunClient(self._http, self.name, started.run_id)

    def pick(self, stage: str, attempt: str | int) -> None:
        """Make the outputs of this attempt the stage's outputs; stages that follow are out of date until they run."""
        self._http.send("POST", f"{self._path}/pick", body={"stage": stage, "attempt": attempt})

    def replace(self, stage: str, path: str, file: str | Path, *, pipeline: str | None = None, reason: str = "") -> str:
        """Replace an output file of the stage by an edited one, which is sent: a new attempt. Returns its task id.

        Stages that follow are out of date until they have run with the file; `resume` runs them. Raises InputRejected.
        """
        local = Path(file).expanduser()
        if not local.is_file():
            raise InputRejected("no such file", where=str(local))
        target = f"{self._path}/files/{part(stage)}/{quote(path)}"
        with local.open("rb") as content:
            query = {"name": local.name, "pipeline": pipeline, "reason": reason or None}
            return self._http.upload(_Replaced, target, content, **query).task_id

    def notes(self) -> str:
        """The notes on it."""
        return self._http.get(_Notes, f"{self._path}/notes").notes

    def note(self, notes: str) -> None:
        """Replace the notes on it."""
        self._http.send("PUT", f"{self._path}/notes", body={"notes": notes})

    def tags(self) -> tuple[str, ...]:
        """Its tags, in order."""
        return self._http.get(_Tags, f"{self._path}/tags").tags

    def tag(self, tags: Iterable[str]) -> tuple[str, ...]:
        """Replace its tags."""
        return self._http.put(_Tags, f"{self._path}/tags", {"tags": list(tags)}).tags

    def todos(self) -> tuple[Todo, ...]:
        """Its to-do list."""
        return self._http.get(tuple[Todo, ...], f"{self._path}/todos")

    def add_todo(self, text: str) -> Todo:
        """Add an entry to its to-do list."""
        return self._http.post(Todo, f"{self._path}/todos", {"text": text})

    def finish_todo(self, number: int, *, done: bool = True) -> None:
        """Tick an entry off, or open it again."""
        self._http.send("PATCH", f"{self._path}/todos/{number}", body={"done": done})

    def _started(self, act: str, body: Mapping[str, Any]) -> RunClient:
        started = self._http.post(Started, f"{self._path}/{act}", body)
        assert started.run_id is not None  # noqa: S101  # these acts have a run
        return RunClient(self._http, self.name, started.run_id)


def _redone(
    stage: str,
    pipeline: str | None,
    env: Mapping[str, Any] | None,
    settings: Mapping[str, Mapping[str, Any]] | None,
    use: Mapping[str, str | int] | None,
) -> dict[str, Any]:
    return {
        "stage": stage,
        "pipeline": pipeline,
        "env": dict(env or {}),
        "settings": {name: dict(each) for name, each in (settings or {}).items()},
        "use": dict(use or {}),
    }


def _listed(values: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {name: list(map(str, each)) for name, each in values.items()}
