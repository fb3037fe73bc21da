"""Deleting projects, restoring them, and removing them for good."""

from __future__ import annotations

from datetime import timedelta

from winslow_dagster.errors import ProjectConflict
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.database.deletions import Deletions
from winslow_dagster.projects.domain.deletion import DeletedProject, Deletion, DeletionEffect, PurgeResult
from winslow_dagster.projects.retention.cleanup import Cleanup, Usage
from winslow_dagster.projects.retention.purge import Purge


def effect(context: Context, project: str) -> DeletionEffect:
    """What it means to delete the project."""
    attempts = context.records.attempts(project)
    return DeletionEffect(
        project=project,
        attempts=len(attempts),
        size_bytes=_size(_cleanup(context).usage(project)),
        used_by=Deletions(context.records.database).users_of(project),
        kept_days=context.settings.trash_days,
    )


def delete(context: Context, project: str, reason: str) -> Deletion:
    """Hide the project. One that is deleted stays as it is. Raises ProjectConflict while a run has not ended."""
    deletions = Deletions(context.records.database)
    with context.project_lock(project, "deleting it"):
        context.reconcile(project)
        if deletions.delete(project, by=context.actor.who, reason=reason, at=context.clock()):
            context.audit("delete", project, reason=reason)
    deletion = deletions.of(project)
    if deletion is None:
        raise ProjectConflict("somebody has just restored it", where=f"project {project}")
    return deletion


def restore(context: Context, project: str) -> None:
    """Show the project again. Raises ProjectDeleted if its files are being removed."""
    with context.project_lock(project, "restoring it"):
        if Deletions(context.records.database).restore(project):
            context.audit("restore", project)


def deleted_projects(context: Context) -> tuple[DeletedProject, ...]:
    """The deleted projects, the last one first, and when each is removed for good."""
    deletions = Deletions(context.records.database)
    found = deletions.all()
    if not found:
        return ()
    usage = _cleanup(context).usage_of({each.project for each in found})
    kept = timedelta(days=context.settings.trash_days)
    return tuple(
        DeletedProject(
            **each.model_dump(),
            purge_at=each.deleted_at + kept,
            size_bytes=_size(usage, each.project),
            used_by=deletions.users_of(each.project),
        )
        for each in found
    )


def purge(context: Context, project: str) -> PurgeResult:
    """Remove a deleted project for good. Raises ProjectConflict for one that is not, StoreError, EngineError."""
    context.actor.require("admin", f"project {project}")
    purging = Purge(context.records, _cleanup(context), lambda name: _forget_runs(context, name), context.actor.who)
    if not purging.begin(project):
        raise ProjectConflict("it is not deleted", where=f"project {project}", remedy="Delete it first")
    context.audit("purge", project)
    return purging.carry_out(project)


def _forget_runs(context: Context, project: str) -> None:
    """Delete the project's runs from Dagster. Those that are unknown to it need no services."""
    if not context.records.had_runs(project):
        return
    dagster = context.dagster()
    while found := dagster.runs(project=project):
        for run in found:
            dagster.delete_run(run.run_id)


def _cleanup(context: Context) -> Cleanup:
    return Cleanup(context.records, context.store, context.settings, context.engine, context.actor.who)


def _size(usage: Usage, project: str | None = None) -> int:
    stages = (each for each in usage.stages if project in {None, each.project})
    stored = sum(each.outputs_bytes + each.logs_bytes + each.leftovers_bytes for each in stages)
    return stored + sum(size for name, size in usage.inputs_bytes.items() if project in {None, name})
