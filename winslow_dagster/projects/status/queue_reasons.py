"""Why a waiting run does not start, in one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from winslow_dagster.formatting import count_of
from winslow_dagster.projects.dagster_api.client import DagsterRun
from winslow_dagster.projects.database.queue_entries import QueueEntry
from winslow_dagster.projects.domain.queue_rules import Places, QueueItem, own_limit
from winslow_dagster.projects.domain.queue_shares import turn_text

NAMES_SHOWN = 3


@dataclass(slots=True)
class QueueReasons:
    """Asked with one waiting run after the other, in their order. `numbers` has when each was queued, as a rank.

    `stopped` is why nothing starts at all; empty if runs start.
    """

    places: Places
    active: Sequence[DagsterRun]
    items: Mapping[str, QueueItem]
    entries: Mapping[str, QueueEntry]
    numbers: Mapping[str, int]
    stopped: str
    _before: int = 0
    _own_before: Counter[tuple[str, bool]] = field(default_factory=Counter)
    _latest: tuple[int, int] = (0, -1)
    """The priority of the runs before this one, and the highest number among those."""
    _taken: Counter[tuple[str, bool]] | None = None

    def next(self, item: QueueItem) -> tuple[str, str]:
        """Why it waits, and why others that were queued later go before it; empty if none do."""
        if self._taken is None:
            self._taken = Counter(self.places.taken)
        reason = self._reason(item)
        turn = self._turn(item)
        self._before += 1
        self._own_before[item.sharer, item.needs_gpu] += own_limit(item, self.places.sweeps) is None
        return reason, turn

    def _turn(self, item: QueueItem) -> str:
        priority, latest = self._latest
        number = self.numbers[item.run_id]
        overtaken = priority == item.priority and latest > number
        self._latest = (item.priority, max(latest, number) if priority == item.priority else number)
        if not overtaken or self._taken is None:
            return ""
        whose = item.sharer, item.needs_gpu
        return turn_text(
            self.places.shares, item.sharer, self._taken[whose], self._own_before[whose], needs_gpu=item.needs_gpu
        )

    def _gpu_places(self, vendor: str) -> str:
        """Who has the places for runs that need a GPU; with a vendor, a GPU of that."""
        places, items = self.places, self.items
        taken, most, of = places.gpu_runs, places.limits.gpu_runs, ""
        if vendor:
            taken, most, of = places.vendors[vendor], places.limits.of_vendor(vendor), f" of {vendor}"
        holders = _names(
            [run for run in self.active if items[run.run_id].needs_gpu and vendor in {"", items[run.run_id].gpu_vendor}]
        )
        return f"{taken} of {most} places for runs that need a GPU{of} are taken by {holders}"

    def _reason(self, item: QueueItem) -> str:
        entry = self.entries.get(item.run_id)
        if entry is not None and entry.hold_text:
            return entry.hold_text
        if self.stopped:
            return self.stopped
        behind = f"; {count_of(self._before, 'run')} {'is' if self._before == 1 else 'are'} before it"
        behind = behind if self._before else ""
        places = self.places
        match places.limit(item):
            case "sweep":
                most = min(limit for sweep, limit in item.sweeps if places.sweeps[sweep] >= limit)
                return f"of its sweep, at most {most} may run at once{behind}"
            case "gpu_runs" | "gpu_vendor" as limit:
                vendor = item.gpu_vendor if limit == "gpu_vendor" else ""
                return f"{self._gpu_places(vendor)}{behind}"
            case "runs":
                return f"{places.runs} of {places.limits.runs} places for runs are taken{behind}"
            case _:
                # It takes its place, so that those behind it are not told that they may have it.
                places.take(item)
                return "next in the queue"


def _names(runs: Sequence[DagsterRun]) -> str:
    names = list(dict.fromkeys(run.project or run.job for run in runs))
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{', '.join(names[:NAMES_SHOWN])}{more}"
