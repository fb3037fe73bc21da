"""What the frame of every page counts, and how much room is left on disk."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from winslow_dagster.engines.engine import NodeUsage
from winslow_dagster.errors import WinslowError
from winslow_dagster.projects.domain.views import Counters
from winslow_dagster.projects.installation import Installation

DISK_KNOWN_FOR_S = 30
"""Asking a node takes a while, and every open page asks for this."""


class FrameCounters(Counters):
    """The counters, and the least space that is left on a node; None if no node says so."""

    disk_free_bytes: int | None = None
    disk_state: Literal["ok", "low", "full"] = "ok"
    disk_full_at: datetime | None = None
    """When a disk will be full at its recent rate, if that is soon."""


@dataclass(eq=False)
class FrameCounts:
    """The counters of one installation for all pages of it."""

    installation: Installation
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _fullest: NodeUsage | None = None
    _full_at: datetime | None = None
    _asked_at: float | None = None

    def read(self) -> FrameCounters:
        """The counters now."""
        counted = self.installation.counters()
        fullest = self._disk()
        if fullest is None:
            return FrameCounters(**counted.model_dump())
        return FrameCounters(
            **counted.model_dump(),
            disk_free_bytes=fullest.disk_free_bytes,
            disk_state=fullest.disk_state,
            disk_full_at=self._full_at,
        )

    def _disk(self) -> NodeUsage | None:
        with self._lock:
            if self._asked_at is None or time.monotonic() - self._asked_at > DISK_KNOWN_FOR_S:
                self._asked_at = time.monotonic()
                try:
                    usage, disks = self.installation.node_usage(), self.installation.space.filling_disks()
                except WinslowError:
                    usage, disks = (), ()
                self._full_at = min((each.full_at for each in disks if each.full_at), default=None)
                self._fullest = min(usage, key=lambda node: node.disk_free_bytes, default=None)
            return self._fullest
