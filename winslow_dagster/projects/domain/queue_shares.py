"""How owners or projects share the queue: who has the fewest runs in progress goes first, then who has used the least.

Both are divided by the sharer's weight. Runs that need a GPU and those that do not are counted apart: whoever fills the
processors still has a turn on the GPUs. Without a choice of whose share it is, runs go first come, first served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from winslow_dagster.settings import ShareBy

LATELY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class RecentUse:
    """What somebody used lately: GPU seconds, and seconds of stages without a GPU."""

    gpu_s: float = 0.0
    stage_s: float = 0.0


@dataclass(frozen=True, slots=True)
class QueueShares:
    """Who shares the queue, with which weights, and what each has used lately. Nobody has used anything by default."""

    by: ShareBy = "none"
    weights: Mapping[str, float] = field(default_factory=dict)
    recent: Mapping[str, RecentUse] = field(default_factory=dict)

    @property
    def apply(self) -> bool:
        """Whether anybody takes turns."""
        return self.by != "none"

    def use(self, sharer: str, taken: int, *, needs_gpu: bool) -> tuple[float, float]:
        """What decides whose turn it is: places taken, and use lately, for a weight of 1. The least goes first."""
        weight, recent = self.weights.get(sharer, 1.0), self.recent.get(sharer, RecentUse())
        return taken / weight, (recent.gpu_s if needs_gpu else recent.stage_s) / weight


def turn_text(shares: QueueShares, sharer: str, taken: int, ahead: int, *, needs_gpu: bool) -> str:
    """Why others that were queued later go before a run of this sharer, in one clause.

    `taken` of its runs are in progress and `ahead` more of them are before this one.
    """
    who = f"{shares.by} {sharer}" if sharer else f"no {shares.by}"
    counts = [f"{taken} in progress"] * bool(taken) + [f"{ahead} before this one"] * bool(ahead)
    what = "used more of the GPUs" if needs_gpu else "run stages for longer"
    has = " and ".join(counts) or f"{what} in the last {LATELY // timedelta(hours=1)} h"
    weight = shares.weights.get(sharer, 1.0)
    return f"{shares.by}s take turns, and {who} has {has}{'' if weight == 1 else f', with a weight of {weight:g}'}"
