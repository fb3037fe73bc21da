"""What a person does with a project: pause, resume, answer, pick, replace a file, cancel."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from winslow_dagster.actions import Action
from winslow_dagster.errors import ProjectConflict
from winslow_dagster.formatting import format_time
from winslow_dagster.paths import expanded
from winslow_dagster.projects.commands import deletion
from winslow_dagster.projects.commands.acts import act, act_on_deleted
from winslow_dagster.projects.commands.answer import Answering
from winslow_dagster.projects.commands.launch import launch
from winslow_dagster.projects.commands.launch_request import LaunchRequest
from winslow_dagster.projects.commands.redo import ProjectRedo
from winslow_dagster.projects.commands.replace_file import Replacement, replace_file
from winslow_dagster.projects.commands.run import Run
from winslow_dagster.projects.database.dismissals import Dismissals
from winslow_dagster.projects.database.holds import Holds
from winslow_dagster.projects.database.lineage_queries import lineage_of
from winslow_dagster.projects.domain.deletion import Deletion
from winslow_dagster.projects.domain.lineage import Pick
from winslow_dagster.projects.domain.model import Attempt, RunRecord
from winslow_dagster.projects.domain.run_request import require_stage
from winslow_dagster.projects.inputs.permitted_paths import require_permitted
from winslow_dagster.projects.inputs.uploads import InputStream, received

Overrides = Mapping[str, Mapping[str, Any]]


class ProjectControl(ProjectRedo):
    """One project of an installation. Every action is recorded with who took it."""

    @act
    def pause(self, after: str | None = None) -> None:
        """Start no further stage, or none that follows `after`; running stages finish first.

        Raises NotFound for an unknown stage, ProjectConflict if nothing is running, or if a sweep is.
        """
        context = self._context
        with context.project_lock(self.name, "pausing it"):
            run = self._open_run("pause")
            if after is not None:
                require_stage(context.resources.pipeline_version(run.pipeline, run.pipeline_digest), after)
            if run.sweep is not None:
                # A resume would not know with which combination to continue.
                raise ProjectConflict("a sweep cannot be paused", where=self._where, remedy=self._cancel_action)
            pause = Holds(context.records.database).pause(self.name, run.run_id, context.actor.who, after)
        if pause.asked_by != context.actor.who:
            raise ProjectConflict(
                f"{pause.asked_by} already paused it at {format_time(pause.asked_at)}", where=self._where
            )
        context.audit("pause", self.name, run_id=run.run_id, after=after)

    @act
    def resume(self, *, pipeline: str | None = None, reason: str = "") -> Run:
        """Continue where it stopped, with what the stopped run was requested to do. A pending pause is withdrawn.

        `pipeline` continues another of its pipelines than its own. Raises ProjectConflict if nothing is left to do, a
        question is open, or a run is in progress.
        """
        context = self._context
        status = context.status(self.name)
        if status.state == "pausing" and status.run_id is not None:
            Holds(context.records.database).withdraw_pause(self.name, status.run_id)
            context.audit("resume", self.name, run_id=status.run_id, reason=reason)
            return Run(context, self.name, status.run_id)
        questions = {status.pipeline: status.questions} | {
            each.pipeline: each.questions for each in status.other_pipelines
        }
        for question in questions.get(pipeline or status.pipeline, ()):
            raise ProjectConflict(
                f"{question.stage} is waiting for an answer: {question.message}",
                where=self._where,
                remedy=Action("answer_question", {"project": self.name, "stage": question.stage}),
            )
        request = LaunchRequest(project=self.name, pipeline=self.pipeline(pipeline).name, continues=True, reason=reason)
        return launch(context, "resume", request)

    @act
    def answer(  # noqa: PLR0913  # what a person may say about an answer, by name
        self,
        stage: str,
        values: Mapping[str, Any] | None = None,
        files: Mapping[str, str | Path | InputStream] | None = None,
        *,
        pipeline: str | None = None,
        resume: bool = True,
        replaces: int | None = None,
    ) -> Run | None:
        """Answer the stage's question, and resume if no other question is open; returns the run, if one was started.

        A result that the answer rejects is made again, with the settings that came with the answer. `replaces` is the
        version of an earlier answer that is given again: what depends on it is then out of date.
        Raises ProjectConflict if nothing is asked, or somebody else was faster; AnswerRejected with every fault.
        """
        context = self._context
        asking = self._pipeline_with(stage, pipeline)
        if replaces is not None and (run := self._latest_open()) is not None:
            raise ProjectConflict(f"a run is in progress ({run.run_id})", where=self._where, remedy=self._cancel_action)
        with contextlib.ExitStack() as stack:
            paths = {}
            for name, file in (files or {}).items():
                if isinstance(file, InputStream):
                    scratch = context.settings.home / "incoming"
                    paths[name] = stack.enter_context(received(file.content, file.file_name, scratch))
                else:
                    paths[name] = expanded(file)
                    require_permitted(context.actor, context.settings, {name: paths[name]})
            answering = Answering(context, self.name, asking, replaces=replaces)
            answer, checked = answering.give(stage, values or {}, paths)
        context.audit("answer", self.name, stage=stage, version=answer.version, values=answer.values)
        if not resume or self._latest_open() is not None:
            return None
        if checked.redo is not None:
            rejected = str(checked.redo["stage"])
            request = LaunchRequest(
                project=self.name,
                pipeline=asking.name,
                start_from=(rejected,),
                overrides={rejected: checked.redo["settings"]},
                # The stages after it still have to get what the run that asked was requested to do.
                continues=True,
                reason=f"rejected in {stage}",
            )
            return launch(context, "redo", request)
        lineage = lineage_of(context.records, self.name, asking)
        if context.status_reader.questions(context.records.project(self.name), lineage):
            return None
        return self.resume(pipeline=asking.name, reason=f"{stage} was answered")

    @act
    def pick(self, stage: str, attempt: str | int) -> Attempt:
        """Make the outputs of this attempt the stage's outputs; stages that follow are out of date until they run."""
        context = self._context
        with context.project_lock(self.name, "picking an attempt"):
            chosen = self.attempt(stage, attempt)
            if not chosen.usable:
                problem = "outputs removed" if chosen.outputs_removed_at else f"it is {chosen.outcome or 'running'}"
                raise ProjectConflict(f"attempt {attempt} of {stage} cannot be picked: {problem}", where=self._where)
            if (run := self._latest_open()) is not None and run.sweep is None:
                raise ProjectConflict(
                    f"a run is in progress ({run.run_id})", where=self._where, remedy=self._cancel_action
                )
            pick = Pick(self.name, chosen.pipeline, stage, chosen.task_id, context.clock(), context.actor.who)
            Holds(context.records.database).pick(pick)
        context.audit("pick", self.name, stage=stage, attempt=chosen.task_id)
        return chosen

    @act
    def replace(
        self, stage: str, path: str, file: str | Path | InputStream, *, pipeline: str | None = None, reason: str = ""
    ) -> Attempt:
        """Replace an output file of the stage by an edited one: a new attempt, made by hand.

        Stages that follow are out of date until they have run with the file; `resume` runs them.
        Raises NotFound, InputRejected, ProjectConflict while a run is in progress.
        """
        if (run := self._latest_open()) is not None:
            raise ProjectConflict(f"a run is in progress ({run.run_id})", where=self._where, remedy=self._cancel_action)
        context = self._context
        edited = self._pipeline_with(stage, pipeline)
        if isinstance(file, InputStream):
            name = file.file_name
            with received(file.content, name, context.settings.home / "incoming") as copy:
                attempt = replace_file(context, self.name, Replacement(edited, stage, path, copy, reason))
        else:
            name = str(file)
            require_permitted(context.actor, context.settings, {"file": expanded(file)})
            attempt = replace_file(context, self.name, Replacement(edited, stage, path, expanded(file), reason))
        context.audit("replace", self.name, stage=stage, path=path, file=name, reason=reason)
        return attempt

    @act
    def cancel(self) -> Run:
        """Request the end of its run, or of all runs of its sweep, with their stages. Raises ProjectConflict."""
        context = self._context
        runs = context.records.open_runs(self.name)
        dagster = context.dagster()
        known = dagster.runs_by_id(run.run_id for run in runs)
        active = [run for run in known.values() if not run.ended]
        if not active:
            raise self._nothing_running("cancel")
        for run in active:
            if run.status != "CANCELING":
                dagster.terminate(run.run_id)
        context.audit("cancel", self.name, runs=[run.run_id for run in active])
        return Run(context, self.name, active[0].run_id)

    @act_on_deleted
    def delete(self, reason: str = "") -> Deletion:
        """Delete it: it is hidden, can be restored for WINSLOW_TRASH_DAYS, and is then removed for good.

        One that is deleted already stays as it is. Raises ProjectConflict while a run has not ended.
        """
        return deletion.delete(self._context, self.name, reason)

    @act_on_deleted
    def restore(self) -> None:
        """Undo that it was deleted. Raises ProjectDeleted if its files are being removed already."""
        deletion.restore(self._context, self.name)

    @act
    def dismiss(self) -> None:
        """Take note that its latest run failed: it no longer waits for a person, until it fails again.

        Raises ProjectConflict if it has not failed.
        """
        context = self._context
        context.reconcile(self.name)
        if Dismissals(context.records.database).dismiss(self.name, by=context.actor.who, at=context.clock()):
            context.audit("dismiss", self.name)

    @act
    def undismiss(self) -> None:
        """Have its failure wait for a person again."""
        if Dismissals(self._context.records.database).undismiss(self.name):
            self._context.audit("undismiss", self.name)

    @property
    def _cancel_action(self) -> Action:
        return Action("cancel_project", {"project": self.name})

    def _nothing_running(self, verb: str) -> ProjectConflict:
        remedy = Action("show_project", {"project": self.name})
        return ProjectConflict(f"there is no run to {verb}", where=self._where, remedy=remedy)

    def _latest_open(self) -> RunRecord | None:
        """A run that is in progress."""
        self._context.reconcile(self.name)
        return next(iter(self._context.records.open_runs(self.name)), None)

    def _open_run(self, verb: str) -> RunRecord:
        run = self._latest_open()
        if run is None:
            raise self._nothing_running(verb)
        return run
