"""Quotas of projects and owners: administrators set them, and everybody sees how much is used."""

from __future__ import annotations

from winslow_dagster.errors import EngineError, InputRejected, NotFound
from winslow_dagster.pipelines import parse_size_bytes
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.database.quotas import Quotas
from winslow_dagster.projects.database.space_usage import SpaceUsage
from winslow_dagster.projects.domain.quotas import (
    EVERYBODY,
    Quota,
    QuotaKind,
    QuotaOverview,
    QuotaUse,
    QuotaUseView,
)

LONGEST_NAME = 200
EVERY = 1_000_000


class QuotaCommands:
    """The quotas of one installation."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._rows = Quotas(context.records.database)

    def overview(self) -> QuotaOverview:
        """The quotas, and the use of those that are set for one project or owner, nearly used up or overrun."""
        quotas = self._rows.all()
        uses = self._uses(quotas) if quotas else ()
        named = {(quota.kind, quota.name) for quota in quotas}
        shown = [use for use in uses if use.state != "ok" or (use.kind, use.name) in named]
        shown.sort(key=lambda use: -(use.used_bytes + use.growing_bytes) / max(1, use.limit_bytes))
        return QuotaOverview(quotas=quotas, uses=tuple(map(QuotaUseView.of, shown)))

    def own(self) -> QuotaUse | None:
        """How much of the actor's own quota is used; None without one."""
        return self._rows.use("owner", self._context.actor.who)

    def set(self, kind: QuotaKind, name: str, limit: str | int) -> Quota:
        """Set the quota of a project or an owner, such as "500 GiB"; `*` is all that have none of their own.

        Only administrators may. What is stored already stays. Raises InputRejected, AmountMalformed, NotFound.
        """
        context = self._context
        context.actor.require("admin", "quotas")
        limit_bytes = parse_size_bytes(limit) if isinstance(limit, str) else limit
        if not 0 < limit_bytes < 1 << 62:
            raise InputRejected(f"a quota of {limit_bytes} bytes", expected="more than nothing, such as 500GiB")
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            raise InputRejected(f"{name!r} is not a name", expected="the name of a project or a person, or *")
        if kind == "project" and name != EVERYBODY:
            context.records.require_project(name)
        quota = Quota(kind=kind, name=name, limit_bytes=limit_bytes, set_by=context.actor.who, set_at=context.clock())
        self._rows.set(quota)
        context.audit("quota", name if kind == "project" and name != EVERYBODY else None, **_details(quota))
        return quota

    def clear(self, kind: QuotaKind, name: str) -> None:
        """Remove a quota. Only administrators may. Raises NotFound."""
        self._context.actor.require("admin", "quotas")
        self._rows.clear(kind, name)
        self._context.audit("quota_clear", kind=kind, name=name)

    def _uses(self, quotas: tuple[Quota, ...]) -> list[QuotaUse]:
        context = self._context
        limits = {(quota.kind, quota.name): quota.limit_bytes for quota in quotas}
        space = SpaceUsage(context.records.database).space(context.clock(), EVERY)
        growing = self._growing()
        owners = {each.project: each.owner for each in space.projects}
        by_owner: dict[str, int] = {}
        for project, size_bytes in growing.items():
            by_owner[owners.get(project, "")] = by_owner.get(owners.get(project, ""), 0) + size_bytes
        found = []
        for each in space.projects:
            limit_bytes = limits.get(("project", each.project), limits.get(("project", EVERYBODY)))
            if limit_bytes is not None:
                found.append(
                    QuotaUse(
                        kind="project",
                        name=each.project,
                        limit_bytes=limit_bytes,
                        used_bytes=each.size_bytes,
                        growing_bytes=growing.get(each.project, 0),
                    )
                )
        names = {name for kind, name in limits if kind == "owner" and name != EVERYBODY}
        if ("owner", EVERYBODY) in limits:
            names |= set(owners.values())
        for name in sorted(names):
            use = self._rows.use("owner", name)
            if use is not None:
                found.append(use.model_copy(update={"growing_bytes": by_owner.get(name, 0)}))
        return found

    def _growing(self) -> dict[str, int]:
        """Project -> bytes that its running stages have written so far, as far as the nodes say."""
        found: dict[str, int] = {}
        for attempt in self._context.records.open_attempts():
            try:
                files = self._context.engine.growing_files(attempt.task_id)
            except (EngineError, NotFound):
                continue
            found[attempt.project] = found.get(attempt.project, 0) + sum(file.size_bytes for file in files)
        return found


def _details(quota: Quota) -> dict[str, str | int]:
    return {"kind": quota.kind, "name": quota.name, "limit_bytes": quota.limit_bytes}
