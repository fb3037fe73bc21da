"""What may go, and why, by the rules of pipelines and projects. Pure: told from what happened, a file at a time.

A file of the store can be part of the outputs of several attempts, since one may stand for another and manifests are
composed. It goes when every attempt that has it lets it go; what must stay does not depend on any rule: what a stage
has now, what is pinned, what is highlighted, and everything of a project in which a run has not ended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal

from winslow_dagster.globs import matches
from winslow_dagster.pipelines.model.pipeline import Pipeline, RetentionRule, Stage
from winslow_dagster.projects.domain.lineage import Pick, current_attempts
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.storage.manifest import FileEntry, Manifest

RemovalKind = Literal["outputs", "log", "leftovers"]
STORED_LEFTOVERS_STAY = timedelta(days=1)
"""So long lies on its node what is in the store too."""


@dataclass(frozen=True, slots=True)
class Made:
    """One attempt and what there still is of it: its outputs and its log in the store, and bytes on this node.

    `leftover_bytes` is None where the node has nothing of it.
    """

    attempt: Attempt
    outputs: Manifest | None = None
    log: Manifest | None = None
    leftover_bytes: int | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it did what it should."""
        return self.attempt.outcome == "succeeded"

    @property
    def trees(self) -> dict[str, list[FileEntry]]:
        """Address -> the files of its outputs that lie in trees of its own, and not in those of attempts before it.

        Its own are the tree of its outputs, where it did not take them over, and all whose address has its task id.
        """
        found: dict[str, list[FileEntry]] = {}
        if self.outputs is None:
            return found
        for entry in self.outputs.files:
            address, _path = stored_at(self.outputs, entry)
            direct = entry.lies is None and self.attempt.reused_from is None
            if direct or self.attempt.task_id in address.split("/"):
                found.setdefault(address, []).append(entry)
        return found


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing that goes: a tree of the store, some files of one (`paths`), or what lies on the node (`leftovers`).

    `address` is that of the tree, or the task id of the leftovers. `task_ids` are all attempts that lose outputs by it.
    """

    project: str
    stage: str
    task_id: str
    kind: RemovalKind
    address: str
    paths: tuple[str, ...] | None
    size_bytes: int
    reason: str
    task_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class History:
    """What one pipeline made of one project. `busy`: a run has not ended. Without a `pipeline` there are no rules.

    `own_rules` are the project's, and come before those of the stages.
    """

    project: str
    pipeline: Pipeline | None
    made: tuple[Made, ...]
    picks: tuple[Pick, ...] = ()
    sweep_runs: Collection[str] = ()
    pinned: Collection[str] = ()
    own_rules: tuple[RetentionRule, ...] = ()
    busy: bool = False

    @cached_property
    def current(self) -> frozenset[str]:
        """The attempts whose outputs the stages have now."""
        found = current_attempts([each.attempt for each in self.made], self.picks, self.sweep_runs)
        return frozenset(attempt.task_id for _moment, attempt in found.values())

    @cached_property
    def ages(self) -> dict[str, int]:
        """Attempt -> how many of its stage, and as successful as it, began after it."""
        counts: dict[tuple[str, bool], int] = {}
        ages = {}
        for each in sorted(self.made, key=lambda each: (each.attempt.started_at, each.attempt.task_id), reverse=True):
            kind = (each.attempt.stage, each.succeeded)
            ages[each.attempt.task_id] = counts.get(kind, 0)
            counts[kind] = ages[each.attempt.task_id] + 1
        return ages

    def untouchable(self, made: Made) -> bool:
        """Whether no rule is even asked."""
        task_id = made.attempt.task_id
        return self.busy or made.attempt.ended_at is None or task_id in self.pinned or task_id in self.current

    @cached_property
    def stages(self) -> dict[str, Stage]:
        """The pipeline's stages by their names."""
        return {} if self.pipeline is None else {stage.name: stage for stage in self.pipeline.stages}

    def stage(self, made: Made) -> Stage | None:
        """The stage of the attempt, where the pipeline has it."""
        return self.stages.get(made.attempt.stage)

    def why_output_goes(self, made: Made, entry: FileEntry, now: datetime) -> str:
        """Why this file of the attempt's outputs may go as far as the attempt is concerned; empty where it stays."""
        if self.untouchable(made):
            return ""
        stage = self.stage(made)
        if stage is None or any(matches(entry.path, one.glob) for one in stage.highlights):
            return ""
        rules = (rule for rule in (*self.own_rules, *stage.retention) if rule.what == "outputs")
        return self._why(made, next((rule for rule in rules if matches(entry.path, rule.glob)), None), now)

    def why_log_goes(self, made: Made, now: datetime) -> str:
        """The same for its log, and for all that an attempt left that did not succeed."""
        stage = self.stage(made)
        if self.untouchable(made) or stage is None:
            return ""
        what = "logs" if made.succeeded else "failed"
        return self._why(
            made, next((rule for rule in (*self.own_rules, *stage.retention) if rule.what == what), None), now
        )

    def why_leftovers_go(self, made: Made, now: datetime) -> str:
        """The same for what lies on the node."""
        if not made.succeeded:
            return self.why_log_goes(made, now)
        ended_at, stored = made.attempt.ended_at, made.log is not None
        if self.busy or ended_at is None or not stored or ended_at > now - STORED_LEFTOVERS_STAY:
            return ""
        return "its outputs and its log are in the store"

    def _why(self, made: Made, rule: RetentionRule | None, now: datetime) -> str:
        if rule is None or made.attempt.ended_at is None or (rule.attempts is None and rule.days is None):
            return ""
        reasons = []
        if rule.attempts is not None:
            if self.ages[made.attempt.task_id] < rule.attempts:
                return ""
            which = "" if made.succeeded else "failed "
            reasons.append(f"{rule.attempts} newer {which}attempt{'' if rule.attempts == 1 else 's'}")
        if rule.days is not None:
            if made.attempt.ended_at > now - timedelta(days=rule.days):
                return ""
            reasons.append(f"older than {rule.days:g} days")
        return " and ".join(reasons)


def what_goes(histories: Iterable[History], now: datetime) -> tuple[Removal, ...]:
    """Everything that may go, by project, stage and attempt.

    Only files whose owner is among the histories go; all who have files of theirs have to be among them too.
    """
    known = tuple(histories)
    return tuple(
        sorted(
            (*_outputs(known, now), *_logs_and_leftovers(known, now)),
            key=lambda one: (one.project, one.stage, one.task_id, one.kind),
        )
    )


def _outputs(histories: tuple[History, ...], now: datetime) -> Iterator[Removal]:
    free: dict[tuple[str, str], str] = {}
    kept: set[tuple[str, str]] = set()
    holders: dict[tuple[str, str], set[str]] = {}
    for history, made, outputs in _with_outputs(histories):
        for entry in outputs.files:
            place = stored_at(outputs, entry)
            if reason := history.why_output_goes(made, entry, now):
                free.setdefault(place, reason)
                holders.setdefault(place, set()).add(made.attempt.task_id)
            else:
                kept.add(place)
    for history, made, outputs in _with_outputs(histories):
        for address, entries in made.trees.items():
            places = {stored_at(outputs, entry): entry.size_bytes for entry in entries}
            going = [place for place in places if place in free and place not in kept]
            if going:
                yield Removal(
                    project=history.project,
                    stage=made.attempt.stage,
                    task_id=made.attempt.task_id,
                    kind="outputs",
                    address=address,
                    paths=None if len(going) == len(places) else tuple(path for _address, path in going),
                    size_bytes=sum(places[place] for place in going),
                    reason=free[going[0]],
                    task_ids=tuple(sorted(set().union(*(holders[place] for place in going)))),
                )


def _logs_and_leftovers(histories: tuple[History, ...], now: datetime) -> Iterator[Removal]:
    for history in histories:
        for made in history.made:
            of = (history.project, made.attempt.stage, made.attempt.task_id)
            if made.log is not None and (reason := history.why_log_goes(made, now)):
                yield Removal(*of, "log", made.log.address, None, made.log.size_bytes, reason)
            if made.leftover_bytes is not None and (reason := history.why_leftovers_go(made, now)):
                yield Removal(*of, "leftovers", made.attempt.task_id, None, made.leftover_bytes, reason)


def _with_outputs(histories: tuple[History, ...]) -> Iterator[tuple[History, Made, Manifest]]:
    for history in histories:
        for made in history.made:
            if made.outputs is not None:
                yield history, made, made.outputs


def stored_at(outputs: Manifest, entry: FileEntry) -> tuple[str, str]:
    """Where the store has the file: address and path. A plain pair, for there are millions of them."""
    return (outputs.address, entry.path) if entry.lies is None else (entry.lies.address, entry.lies.path)
