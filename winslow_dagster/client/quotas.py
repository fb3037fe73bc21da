"""Quotas over HTTP."""

from __future__ import annotations

from winslow_dagster.client.http import Http
from winslow_dagster.pipelines import parse_size_bytes
from winslow_dagster.projects.domain.quotas import Quota, QuotaKind, QuotaOverview


class QuotaClient:
    """Like `Winslow.quotas`."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def overview(self) -> QuotaOverview:
        """The quotas, and the use of those that are set for one project or owner, nearly used up or overrun."""
        return self._http.get(QuotaOverview, "/quotas")

    def set(self, kind: QuotaKind, name: str, limit: str | int) -> Quota:
        """Set the quota of a project or an owner; `*` is all without one of their own. Only administrators may."""
        limit_bytes = parse_size_bytes(limit) if isinstance(limit, str) else limit
        return self._http.put(Quota, "/quotas", {"kind": kind, "name": name, "limit_bytes": limit_bytes})

    def clear(self, kind: QuotaKind, name: str) -> None:
        """Remove a quota. Only administrators may. Raises NotFound."""
        self._http.send("DELETE", "/quotas", query={"kind": kind, "name": name})
