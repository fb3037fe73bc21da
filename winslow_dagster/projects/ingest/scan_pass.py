"""One pass over the watched places: look at each, and take in what is whole, never more at once than a watch allows."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from winslow_dagster.errors import WinslowError
from winslow_dagster.locks import take
from winslow_dagster.projects.ingest.config import Watch, load_watches
from winslow_dagster.projects.ingest.ingest_file import TakingIn
from winslow_dagster.projects.ingest.scan import look
from winslow_dagster.projects.ingest.sources import Watched, open_place
from winslow_dagster.projects.ingest.table import IN_PROGRESS, Landing, Landings

if TYPE_CHECKING:
    from winslow_dagster.projects.commands.installation import Installation

MOST_TAKEN = 50
"""How many files one pass takes in."""
TAKE_FOR_S = 30.0
"""For how long a pass begins to take in files."""


@dataclass(frozen=True, slots=True)
class WatchPass:
    """What a pass did for one watch. `problem` is why it did not do all of it; empty where it did."""

    watch: str
    new: int = 0
    settled: int = 0
    set_aside: int = 0
    taken: int = 0
    waiting: int = 0
    problem: str = ""

    def __str__(self) -> str:
        counts = {
            "new": self.new,
            "settled": self.settled,
            "set aside": self.set_aside,
            "taken in": self.taken,
            "waiting": self.waiting,
        }
        said = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing new"
        return f"{self.watch}: {said}" + (f"; {self.problem}" if self.problem else "")


def pass_over(actions: Installation, clock: Callable[[], datetime]) -> tuple[WatchPass, ...] | None:
    """One pass over all watches. None where another pass is at it.

    What is wrong with one watch is said in its part of the answer. Raises WatchFileInvalid, ServiceUnavailable where
    the database does not answer.
    """
    watches = load_watches(actions.settings.watch_file)
    if not watches:
        return ()
    with _alone(actions) as alone:
        if not alone:
            return None
        passes: list[WatchPass] = []
        end_s = time.monotonic() + TAKE_FOR_S
        for watch in watches:
            most = MOST_TAKEN - sum(done.taken for done in passes)
            passes.append(_pass_over_one(actions, watch, clock, most, end_s))
        return tuple(passes)


@contextlib.contextmanager
def _alone(actions: Installation) -> Iterator[bool]:
    """Whether no other pass of this installation is going on; the kernel frees the lock of one that is killed."""
    actions.settings.home.mkdir(parents=True, exist_ok=True)
    with (actions.settings.home / "landings.lock").open("a") as lock:
        yield take(lock.fileno())


def _pass_over_one(
    actions: Installation, watch: Watch, clock: Callable[[], datetime], most: int, end_s: float
) -> WatchPass:
    landings = Landings(actions.records.database)
    new = settled = set_aside = taken = 0
    problem = ""
    try:
        pipeline = actions.pipeline(watch.pipeline).pipeline
        input_name = watch.input_of(pipeline)
        watched = Watched(watch, open_place(watch, actions.settings), input_name, pipeline.inputs[input_name])
        seen = look(watched, landings, clock())
        new, settled, set_aside = seen.new, seen.settled, seen.set_aside
        taking_in = TakingIn(actions, landings, watched, clock)
        _note_ended(actions, landings, watch, clock())
        for landing in _to_take(landings, watch, most):
            if time.monotonic() > end_s:
                break
            after = taking_in.take(landing)
            taken += after.state in {"running", "taken"}
            set_aside += after.state == "set_aside"
    except WinslowError as error:
        problem = str(error)
    waiting = landings.count(watch.name, "waiting")
    return WatchPass(watch.name, new, settled, set_aside, taken, waiting, problem)


def _to_take(landings: Landings, watch: Watch, most: int) -> Iterator[Landing]:
    """First those that were begun, then as many as may be begun, in the order in which they landed."""
    begun = landings.all(watch=watch.name, states=IN_PROGRESS)
    free = min(watch.at_once - len(begun), most)
    yield from (landing for landing in begun if landing.state != "running")
    yield from landings.all(watch=watch.name, states=("waiting",), most=max(0, free))


def _note_ended(actions: Installation, landings: Landings, watch: Watch, now: datetime) -> None:
    """Projects whose first run has ended count no more."""
    running = landings.all(watch=watch.name, states=("running",))
    if not running:
        return
    known = actions.dagit().runs_by_id(landing.run_id for landing in running if landing.run_id)
    ended = [landing for landing in running if (run := known.get(landing.run_id or "")) is None or run.ended]
    landings.note((), [landing.now("taken", now) for landing in ended])
