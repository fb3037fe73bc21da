"""What a person does with one project that is there: pause, go on, redo, sweep, pick, replace a file, cancel."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winslow_dagster.actions import Action
from winslow_dagster.errors import InputRejected, NotFound, ProjectConflict
from winslow_dagster.pipelines import Pipeline, nearest
from winslow_dagster.projects.commands.answer import Answering
from winslow_dagster.projects.commands.launch import Launching, LaunchRequest
from winslow_dagster.projects.commands.replace_file import Replacement, replace_file
from winslow_dagster.projects.commands.run import Run
from winslow_dagster.projects.database.holds import Holds
from winslow_dagster.projects.database.lineage_queries import lineage_of
from winslow_dagster.projects.domain.lineage import Pick
from winslow_dagster.projects.domain.model import Attempt, RunRecord
from winslow_dagster.projects.domain.run_request import require_stage
from winslow_dagster.projects.domain.views import QuestionView
from winslow_dagster.projects.inputs.resource_pool import sources

if TYPE_CHECKING:
    from winslow_dagster.projects.commands.installation import Installation

MOST_COMBINATIONS = 500
Settings = Mapping[str, Mapping[str, Any]]


class ProjectControl:
    """One project of an installation. Everything that is done is noted with who did it."""

    def __init__(self, actions: Installation, name: str) -> None:
        self._actions = actions
        self.name = name

    def pause(self, after: str | None = None) -> None:
        """Begin no further stage, or none that follows `after`; those that run end first.

        Raises NotFound for a stage there is not, ProjectConflict where nothing runs, or a sweep.
        """
        actions = self._actions
        if after is not None:
            require_stage(self._pipeline(), after)
        with actions.records.project_lock(self.name):
            run = self._open_run("paused")
            if run.sweep is not None:
                # A resume would not know with which of its combinations to go on.
                raise ProjectConflict(
                    "a sweep cannot be paused",
                    where=self._where,
                    remedy=self._cancel,
                )
            asked = Holds(actions.records.database).pause(self.name, run.run_id, actions.actor.who, after)
        if asked.asked_by != actions.actor.who:
            raise ProjectConflict(
                f"{asked.asked_by} asked it to pause already, at {asked.asked_at:%H:%M:%S} UTC", where=self._where
            )
        actions.audit.note(actions.actor, "pause", self.name, run_id=run.run_id, after=after)

    def resume(self, *, reason: str = "") -> Run:
        """Go on where it stopped, with what the run that stopped was told. A pause that has not taken effect is lifted.

        Raises ProjectConflict where nothing is left to do, a question is open, or a run is in progress.
        """
        actions = self._actions
        holds = Holds(actions.records.database)
        status = actions.status(self.name)
        if status.state == "pausing" and status.run_id is not None:
            holds.withdraw_pause(self.name, status.run_id)
            actions.audit.note(actions.actor, "resume", self.name, run_id=status.run_id, reason=reason)
            return Run(actions, self.name, status.run_id)
        if status.questions:
            asked = status.questions[0]
            raise ProjectConflict(
                f"{asked.stage} waits for an answer: {asked.message}",
                where=self._where,
                remedy=Action("answer_question", {"project": self.name, "stage": asked.stage}),
            )
        submission = LaunchRequest(project=self.name, actor=actions.actor, carries_on=True, reason=reason)
        return actions.launch("resume", submission)

    def questions(self) -> tuple[QuestionView, ...]:
        """What a person is asked before the project can go on."""
        return self._actions.status(self.name).questions

    def answer(
        self,
        stage: str,
        values: Mapping[str, Any] | None = None,
        files: Mapping[str, str | Path] | None = None,
        *,
        go_on: bool = True,
    ) -> Run | None:
        """Answer what the stage asks, and go on where nothing else is asked; gives the run that goes on.

        A result that is rejected is made again, with the settings that came with the answer.
        Raises ProjectConflict where nothing is asked, or somebody was quicker; AnswerRejected with every fault.
        """
        actions = self._actions
        paths = {name: Path(path).expanduser() for name, path in (files or {}).items()}
        kept, checked = Answering(actions, self.name).give(stage, values or {}, paths)
        actions.audit.note(actions.actor, "answer", self.name, stage=stage, version=kept.version, values=kept.values)
        if not go_on or self._latest_open() is not None:
            return None
        if checked.redo is not None:
            redone = str(checked.redo["stage"])
            # With what the run that asked was told: the stages after it are still to have that.
            submission = LaunchRequest(
                project=self.name,
                actor=actions.actor,
                start_from=(redone,),
                settings={redone: checked.redo["settings"]},
                carries_on=True,
                reason=f"rejected in {stage}",
            )
            return actions.launch("redo", submission)
        return None if self.questions() else self.resume(reason=f"{stage} was answered")

    def redo(  # noqa: PLR0913  # what a person may say of a redo, by name
        self,
        stage: str,
        *,
        env: Mapping[str, str] | None = None,
        settings: Settings | None = None,
        inputs: Mapping[str, str | Path] | None = None,
        use: Mapping[str, str | int] | None = None,
        only: bool = False,
        stop_after: str | None = None,
        reuse: bool = False,
        reason: str = "",
    ) -> Run:
        """Run the stage again, and what follows it: with other variables, arguments, image, limits or inputs.

        `env` changes the stage's variables, `settings` those of any stage. `use` names attempts, by number or task id,
        whose outputs other stages hand on. `only` this stage: what follows is out of date then. `stop_after`: so far.
        """
        require_stage(self._pipeline(), stage)
        changed = {name: dict(said) for name, said in (settings or {}).items()}
        if env:
            own = changed.setdefault(stage, {})
            own["env"] = {**own.get("env", {}), **env}
        return self._actions.launch(
            "redo",
            LaunchRequest(
                project=self.name,
                actor=self._actions.actor,
                inputs=sources(self._actions.pool, inputs or {}),
                start_from=(stage,),
                stop_after=stage if only else stop_after,
                settings=changed,
                use={name: self.attempt(name, which).task_id for name, which in (use or {}).items()},
                reuse=reuse,
                reason=reason,
            ),
        )

    def sweep(
        self, stage: str, values: Mapping[str, Sequence[str]], *, stop_after: str | None = None, reason: str = ""
    ) -> tuple[Run, ...]:
        """Run the stage once for every combination of the variables' values, side by side; then pick one to go on with.

        Raises InputRejected for more than 500 combinations, and what `redo` raises.
        """
        require_stage(self._pipeline(), stage)
        combinations = combined(values)
        actions = self._actions
        submission = LaunchRequest(
            project=self.name, actor=actions.actor, start_from=(stage,), stop_after=stop_after or stage, reason=reason
        )
        run_ids = Launching(actions, submission).sweep([{stage: {"env": env}} for env in combinations])
        said = {name: list(choices) for name, choices in values.items()}
        actions.audit.note(
            actions.actor, "sweep", self.name, stage=stage, values=said, runs=len(run_ids), reason=reason
        )
        return tuple(Run(actions, self.name, run_id) for run_id in run_ids)

    def pick(self, stage: str, attempt: str | int) -> Attempt:
        """From now on the stage has the outputs of this attempt; what follows is out of date until it runs again."""
        actions = self._actions
        with actions.records.project_lock(self.name):
            chosen = self.attempt(stage, attempt)
            if not chosen.usable:
                gone = (
                    "its outputs were removed" if chosen.outputs_removed_at else f"it is {chosen.outcome or 'running'}"
                )
                raise ProjectConflict(f"attempt {attempt} of {stage} cannot be picked: {gone}", where=self._where)
            if (run := self._latest_open()) is not None and run.sweep is None:
                raise ProjectConflict(
                    f"a run is in progress ({run.run_id})",
                    where=self._where,
                    remedy=self._cancel,
                )
            now, who = datetime.now(UTC), actions.actor.who
            Holds(actions.records.database).pick(Pick(self.name, chosen.pipeline, stage, chosen.task_id, now, who))
        actions.audit.note(actions.actor, "pick", self.name, stage=stage, attempt=chosen.task_id)
        return chosen

    def replace(self, stage: str, path: str, file: str | Path, *, reason: str = "") -> Attempt:
        """Put a changed file in the place of one that the stage made: a new attempt of it, made by hand.

        What follows the stage is out of date until it has run with the file; `resume` does that.
        Raises NotFound, InputRejected, ProjectConflict while a run is in progress.
        """
        actions = self._actions
        with actions.records.project_lock(self.name):
            if (run := self._latest_open()) is not None:
                raise ProjectConflict(f"a run is in progress ({run.run_id})", where=self._where)
            lineage = lineage_of(actions.records, self.name, self._pipeline())
            require_stage(lineage.pipeline, stage)
            current = lineage.current.get(stage)
            if current is None:
                raise ProjectConflict(f"{stage} has no outputs in which a file could be replaced", where=self._where)
            made = replace_file(
                actions.records,
                actions.store,
                current,
                Replacement(path, Path(file).expanduser(), actions.actor.who, reason),
            )
        actions.audit.note(actions.actor, "replace", self.name, stage=stage, path=path, file=str(file), reason=reason)
        return made

    def cancel(self) -> Run:
        """Ask that its run end, or all runs of its sweep, and their stages with them. Raises ProjectConflict."""
        actions = self._actions
        runs = actions.records.open_runs(self.name)
        dagit = actions.dagit()
        seen = dagit.runs_by_id(run.run_id for run in runs)
        active = [run for run in seen.values() if not run.ended]
        if not active:
            raise ProjectConflict(
                "nothing runs that could be cancelled",
                where=self._where,
                remedy=Action("show_project", {"project": self.name}),
            )
        for run in active:
            if run.status != "CANCELING":
                dagit.terminate(run.run_id)
        actions.audit.note(actions.actor, "cancel", self.name, runs=[run.run_id for run in active])
        return Run(actions, self.name, active[0].run_id)

    def attempt(self, stage: str, which: str | int) -> Attempt:
        """An attempt of the stage, by its number (counted from 1 over all runs) or its task id. Raises NotFound."""
        attempts = [each for each in self._actions.records.attempts(self.name) if each.stage == stage]
        if not attempts:
            names = {each.stage for each in self._actions.records.attempts(self.name)}
            meant = nearest(stage, names)
            raise NotFound(
                f"there is no attempt of {stage!r}",
                where=self._where,
                remedy=f"Did you mean {meant}?" if meant else "",
            )
        if isinstance(which, str) and not which.isdigit():
            found = next((each for each in attempts if each.task_id == which), None)
        else:
            found = attempts[int(which) - 1] if 1 <= int(which) <= len(attempts) else None
        if found is None:
            raise NotFound(
                f"{stage} has no attempt {which}",
                where=self._where,
                expected=f"a number from 1 to {len(attempts)}, or a task id",
            )
        return found

    @property
    def _cancel(self) -> Action:
        return Action("cancel_project", {"project": self.name})

    @property
    def _where(self) -> str:
        return f"project {self.name}"

    def _pipeline(self) -> Pipeline:
        return self._actions.pinned(self._actions.records.project(self.name))

    def _latest_open(self) -> RunRecord | None:
        """A run that is in progress. Looking at the status notes the ends of those that are over."""
        self._actions.status(self.name)
        return next(iter(self._actions.records.open_runs(self.name)), None)

    def _open_run(self, done: str) -> RunRecord:
        run = self._latest_open()
        if run is None:
            raise ProjectConflict(
                f"nothing runs that could be {done}",
                where=self._where,
                remedy=Action("show_project", {"project": self.name}),
            )
        return run


def combined(values: Mapping[str, Iterable[str]]) -> list[dict[str, str]]:
    """Every combination of the variables' values, the last variable changing first. Raises InputRejected."""
    choices = {name: list(dict.fromkeys(map(str, given))) for name, given in values.items()}
    empty = sorted(name for name, given in choices.items() if not given)
    if not choices or empty:
        raise InputRejected(
            f"no value was given for {', '.join(empty)}" if empty else "no variable was given to sweep over",
            expected="at least one variable with at least one value",
        )
    total = 1
    for given in choices.values():
        total *= len(given)
    if total > MOST_COMBINATIONS:
        raise InputRejected(f"that makes {total} combinations", expected=f"at most {MOST_COMBINATIONS}")
    return [dict(zip(choices, combination, strict=True)) for combination in itertools.product(*choices.values())]
