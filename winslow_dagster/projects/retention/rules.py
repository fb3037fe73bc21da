"""Decides which files the retention rules of pipelines and projects remove, and why. Pure.

A stored file can be part of the outputs of several attempts: outputs can be reused, and manifests composed. It is
removed when the rules of every such attempt remove it. Regardless of rules, these stay: the current outputs of stages,
pinned attempts, highlighted files, and everything of a project with a run that has not ended.
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

RemovalKind = Literal["outputs", "log", "leftovers", "input"]
STORED_LEFTOVERS_STAY = timedelta(days=1)
"""How long a node keeps files that are also in the store."""
DELETED = "the project was deleted"


@dataclass(frozen=True, slots=True)
class StoredAttempt:
    """An attempt and what is left of it: outputs and log in the store, and bytes on this node.

    `leftover_bytes` is None if the node has nothing of it.
    """

    attempt: Attempt
    outputs: Manifest | None = None
    log: Manifest | None = None
    leftover_bytes: int | None = None

    @property
    def succeeded(self) -> bool:
        """Whether its outcome is success."""
        return self.attempt.outcome == "succeeded"

    @property
    def own_trees(self) -> dict[str, list[FileEntry]]:
        """Address -> output files in trees that belong to this attempt rather than to earlier ones.

        These are the tree of its outputs, unless it reused them, and every tree whose address contains its task id.
        """
        found: dict[str, list[FileEntry]] = {}
        if self.outputs is None:
            return found
        for entry in self.outputs.files:
            address, _path = stored_at(self.outputs, entry)
            direct = entry.stored_at is None and self.attempt.reused_from is None
            if direct or self.attempt.task_id in address.split("/"):
                found.setdefault(address, []).append(entry)
        return found


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing to remove: a tree in the store, some of its files (`paths`), or what is on the node (`leftovers`).

    `address` is that of the tree, or the task id of the leftovers. `task_ids` are all attempts that lose outputs. An
    `input` of a deleted project has the name of the input, or of the stage that asked for it, as its stage.
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
    """The attempts of one project in one pipeline. `busy`: a run has not ended. Without `pipeline` there are no rules.

    `own_rules` are those of the project, and take precedence over those of the stages; `house_rules` are those of the
    installation, for what no other rule is about. `kept` keeps everything: the
    project was deleted, and may be restored. `purged` keeps nothing: it is being removed for good.
    """

    project: str
    pipeline: Pipeline | None
    attempts: tuple[StoredAttempt, ...]
    picks: tuple[Pick, ...] = ()
    sweep_runs: Collection[str] = ()
    pinned: Collection[str] = ()
    own_rules: tuple[RetentionRule, ...] = ()
    house_rules: tuple[RetentionRule, ...] = ()
    busy: bool = False
    kept: bool = False
    purged: bool = False

    @cached_property
    def current(self) -> frozenset[str]:
        """The attempts with the current outputs of the stages."""
        found = current_attempts([each.attempt for each in self.attempts], self.picks, self.sweep_runs)
        return frozenset(attempt.task_id for _moment, attempt in found.values())

    @cached_property
    def newer(self) -> dict[str, int]:
        """Attempt -> how many newer attempts of its stage succeeded, or failed, as it did."""
        counts: dict[tuple[str, bool], int] = {}
        newer = {}
        for each in sorted(
            self.attempts, key=lambda each: (each.attempt.started_at, each.attempt.task_id), reverse=True
        ):
            kind = (each.attempt.stage, each.succeeded)
            newer[each.attempt.task_id] = counts.get(kind, 0)
            counts[kind] = newer[each.attempt.task_id] + 1
        return newer

    @cached_property
    def stages(self) -> dict[str, Stage]:
        """The pipeline's stages by name."""
        return {} if self.pipeline is None else {stage.name: stage for stage in self.pipeline.stages}

    def output_reason(self, stored: StoredAttempt, entry: FileEntry, now: datetime) -> str:
        """Return why this attempt's rules remove the output file; empty if they keep it."""
        if self.purged:
            return self._deleted(stored)
        stage = self.stages.get(stored.attempt.stage)
        if stage is None or self._protected(stored):
            return ""
        if any(matches(entry.path, one.glob) for one in stage.highlights):
            return ""
        return self._reason(stored, stage, "outputs", now, entry.path)

    def log_reason(self, stored: StoredAttempt, now: datetime) -> str:
        """Return why its log is removed, and its leftovers if it did not succeed; empty if they are kept."""
        if self.purged:
            return self._deleted(stored)
        stage = self.stages.get(stored.attempt.stage)
        if stage is None or self._protected(stored):
            return ""
        return self._reason(stored, stage, "logs" if stored.succeeded else "failed", now)

    def leftovers_reason(self, stored: StoredAttempt, now: datetime) -> str:
        """Return why its leftovers on the node are removed; empty if they are kept."""
        if self.purged:
            return self._deleted(stored)
        if not stored.succeeded:
            return self.log_reason(stored, now)
        ended_at = stored.attempt.ended_at
        if self.busy or self.kept or ended_at is None or stored.log is None or ended_at > now - STORED_LEFTOVERS_STAY:
            return ""
        return "its outputs and log are in the store"

    def _deleted(self, stored: StoredAttempt) -> str:
        return "" if self.busy or stored.attempt.ended_at is None else DELETED

    def _protected(self, stored: StoredAttempt) -> bool:
        task_id = stored.attempt.task_id
        return (
            self.busy
            or self.kept
            or stored.attempt.ended_at is None
            or task_id in self.pinned
            or task_id in self.current
        )

    def _reason(self, stored: StoredAttempt, stage: Stage, what: str, now: datetime, path: str | None = None) -> str:
        """Apply the first rule about `what`, or about this output file."""
        rules = (
            rule
            for rule in (*self.own_rules, *stage.retention, *self.house_rules)
            if rule.what == what and (path is None or matches(path, rule.glob))
        )
        rule = next(rules, None)
        if rule is None or stored.attempt.ended_at is None or (rule.attempts is None and rule.days is None):
            return ""
        reasons = []
        if rule.attempts is not None:
            if self.newer[stored.attempt.task_id] < rule.attempts:
                return ""
            which = "" if stored.succeeded else "failed "
            reasons.append(f"{rule.attempts} newer {which}attempt{'' if rule.attempts == 1 else 's'}")
        if rule.days is not None:
            if stored.attempt.ended_at > now - timedelta(days=rule.days):
                return ""
            reasons.append(f"older than {rule.days:g} days")
        return " and ".join(reasons)


def removals_by_rules(histories: Iterable[History], now: datetime) -> tuple[Removal, ...]:
    """List everything to remove, by project, stage and attempt.

    `histories` must include every project that shares files with one of them: only files of these are removed.
    """
    known = tuple(histories)
    return tuple(
        sorted(
            (*_outputs(known, now), *_logs_and_leftovers(known, now)),
            key=lambda one: (one.project, one.stage, one.task_id, one.kind),
        )
    )


def _outputs(histories: tuple[History, ...], now: datetime) -> Iterator[Removal]:
    removable: dict[tuple[str, str], str] = {}
    kept: set[tuple[str, str]] = set()
    holders: dict[tuple[str, str], set[str]] = {}
    for history, stored, outputs in _with_outputs(histories):
        for entry in outputs.files:
            place = stored_at(outputs, entry)
            if reason := history.output_reason(stored, entry, now):
                removable.setdefault(place, reason)
                holders.setdefault(place, set()).add(stored.attempt.task_id)
            else:
                kept.add(place)
    for history, stored, outputs in _with_outputs(histories):
        for address, entries in stored.own_trees.items():
            places = {stored_at(outputs, entry): entry.size_bytes for entry in entries}
            removed = [place for place in places if place in removable and place not in kept]
            if removed:
                yield Removal(
                    project=history.project,
                    stage=stored.attempt.stage,
                    task_id=stored.attempt.task_id,
                    kind="outputs",
                    address=address,
                    paths=None if len(removed) == len(places) else tuple(path for _address, path in removed),
                    size_bytes=sum(places[place] for place in removed),
                    reason=removable[removed[0]],
                    task_ids=tuple(sorted(set().union(*(holders[place] for place in removed)))),
                )


def _logs_and_leftovers(histories: tuple[History, ...], now: datetime) -> Iterator[Removal]:
    for history in histories:
        for stored in history.attempts:
            of = (history.project, stored.attempt.stage, stored.attempt.task_id)
            if stored.log is not None and (reason := history.log_reason(stored, now)):
                yield Removal(*of, "log", stored.log.address, None, stored.log.size_bytes, reason)
            if stored.leftover_bytes is not None and (reason := history.leftovers_reason(stored, now)):
                yield Removal(*of, "leftovers", stored.attempt.task_id, None, stored.leftover_bytes, reason)


def _with_outputs(histories: tuple[History, ...]) -> Iterator[tuple[History, StoredAttempt, Manifest]]:
    for history in histories:
        for stored in history.attempts:
            if stored.outputs is not None:
                yield history, stored, stored.outputs


def stored_at(outputs: Manifest, entry: FileEntry) -> tuple[str, str]:
    """Return the file's address and path in the store. A plain pair, because there are millions of them."""
    return (outputs.address, entry.path) if entry.stored_at is None else (entry.stored_at.address, entry.stored_at.path)
