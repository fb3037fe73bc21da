"""Quotas of projects and owners: administrators set them, and everybody sees how much is used."""

from __future__ import annotations

from winslow_dagster.errors import EngineError, InputRejected, NotFound, QuotasInvalid
from winslow_dagster.pipelines import parse_size_bytes
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.domain.quotas import (
    EVERYBODY,
    LARGEST_BYTES,
    Quota,
    QuotaKind,
    QuotaOverview,
    QuotaUse,
    QuotaUseView,
    is_quota_name,
)


class QuotaCommands:
    """The quotas of one installation."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._rows = context.quotas

    def overview(self) -> QuotaOverview:
        """The quotas, and the use of those that are set for one project or owner, nearly used up or overrun."""
        quotas: tuple[Quota, ...] = ()
        uses: tuple[QuotaUse, ...] = ()
        fault = ""
        try:
            quotas = self._rows.all()
            uses = self._rows.uses(self._context.clock(), self._growing()) if quotas else ()
        except QuotasInvalid as error:
            fault = str(error)
        named = {(quota.kind, quota.name) for quota in quotas}
        shown = [use for use in uses if use.state != "ok" or (use.kind, use.name) in named]
        shown.sort(key=lambda use: -(use.used_bytes + use.growing_bytes) / max(1, use.limit_bytes))
        return QuotaOverview(
            quotas=quotas,
            uses=tuple(map(QuotaUseView.of, shown)),
            file=str(self._rows.file),
            in_file=self._rows.in_file,
            fault=fault,
        )

    def text(self) -> str:
        """The file, as it is written; empty without one."""
        file = self._rows.file
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""

    def own(self) -> QuotaUse | None:
        """How much of the actor's own quota is used; None without one, or if the file of quotas cannot be used."""
        try:
            return self._rows.use("owner", self._context.actor.who)
        except QuotasInvalid:
            return None  # whatever somebody starts or sends says what is wrong, as the page about quotas does

    def set(self, kind: QuotaKind, name: str, limit: str | int) -> Quota:
        """Set the quota of a project or an owner, such as "500 GiB"; `*` is all that have none of their own.

        Only administrators may. What is stored already stays. Raises InputRejected, AmountMalformed, NotFound, and
        ProjectConflict if the quotas are in a file.
        """
        context = self._context
        context.actor.require("admin", "quotas")
        limit_bytes = parse_size_bytes(limit) if isinstance(limit, str) else limit
        if not 0 < limit_bytes <= LARGEST_BYTES:
            raise InputRejected(f"a quota of {limit_bytes} bytes", expected="more than nothing, such as 500GiB")
        if not is_quota_name(name):
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
