"""The machines of an installation over HTTP."""

from __future__ import annotations

from typing import Any

from winslow_dagster.client.http import Http, part
from winslow_dagster.projects.domain.gpu_lanes import GpuHold


class NodeClient:
    """Like `Winslow.machines`. Nodes, their use and their history are JSON as in docs/rest.md."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self) -> tuple[dict[str, Any], ...]:
        """All nodes, and whether they take stages."""
        return self._http.get(tuple[dict[str, Any], ...], "/nodes")

    def usage(self) -> tuple[dict[str, Any], ...]:
        """What is in use on each node now."""
        return self._http.get(tuple[dict[str, Any], ...], "/node-usage")

    def history(self, span: str = "1h", points: int = 720) -> tuple[dict[str, Any], ...]:
        """What was in use on each node over this span (1h, 24h, 7d, 1y) up to now."""
        return self._http.get(tuple[dict[str, Any], ...], "/nodes/history", span=span, points=points)

    def gpu_holds(self, span: str = "24h") -> tuple[GpuHold, ...]:
        """Who held which GPU over this span up to now, the earliest first."""
        return self._http.get(tuple[GpuHold, ...], "/nodes/gpu-holds", span=span)

    def drain(self, node: str, reason: str = "") -> None:
        """Let the node take no new stage; what runs there goes on. Only administrators may."""
        self._http.send("POST", f"/nodes/{part(node)}/drain", body={"reason": reason})

    def undrain(self, node: str) -> None:
        """Let the node take stages again. Only administrators may."""
        self._http.send("POST", f"/nodes/{part(node)}/undrain")
