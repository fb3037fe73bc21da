"""One look at a watched place: what is new, what grows, what has settled, what is bad."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from winslow_dagster.errors import InputRejected
from winslow_dagster.projects.ingest.config import Watch
from winslow_dagster.projects.ingest.sources import Directory, Listed, Watched
from winslow_dagster.projects.ingest.table import Landing, Landings

LOOKED_INTO_AT_ONCE = 500
"""How many settled files are opened in one look: the others wait for the next."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look did."""

    new: int
    settled: int
    set_aside: int


def look(watched: Watched, landings: Landings, now: datetime) -> Look:
    """Bring the table up to what is there. Raises what listing the place does."""
    watch, place = watched.watch, watched.place
    there = {file.path: file for file in place.files()}
    known = landings.of_watch(watch.name)
    fresh = [_fresh(watch, file, now) for path, file in there.items() if path not in known]
    kept = [_kept(landing, there.get(path), now) for path, landing in known.items()]
    changed = [after for before, after in zip(known.values(), kept, strict=True) if after not in (before, None)]
    gone = [before for before, after in zip(known.values(), kept, strict=True) if after is None]
    landings.note(fresh, [landing for landing in changed if landing is not None], gone)
    if fresh or changed or gone:
        known = landings.of_watch(watch.name)
    steady = timedelta(0) if place.settles_at_once else timedelta(seconds=watch.settle_s)
    settled = [
        landing
        for landing in known.values()
        if landing.state == "growing" and landing.path in there and now - landing.steady_since >= steady
    ]
    looked_into = [
        _looked_into(watched, landing, there[landing.path], now) for landing in settled[:LOOKED_INTO_AT_ONCE]
    ]
    landings.note((), looked_into)
    if watch.set_aside_dir is not None and isinstance(place, Directory):
        for landing in landings.all(watch=watch.name, states=("set_aside",)):
            if landing.path in there:
                place.move_aside(landing.path, watch.set_aside_dir, landing.reason)
    bad = sum(landing.state == "set_aside" for landing in looked_into)
    return Look(len(fresh), len(looked_into) - bad, bad)


def _fresh(watch: Watch, file: Listed, now: datetime) -> Landing:
    return Landing(
        id=0,
        watch=watch.name,
        path=file.path,
        size_bytes=file.size_bytes,
        modified=file.modified,
        state="growing",
        reason="",
        project=None,
        run_id=None,
        seen_at=now,
        steady_since=now,
        settled_at=None,
    )


def _kept(landing: Landing, file: Listed | None, now: datetime) -> Landing | None:
    """What becomes of a known file, given what is there now. None: forget it, nothing came of it."""
    if file is None:
        return None if landing.state in {"growing", "waiting"} and landing.project is None else landing
    if (file.size_bytes, file.modified) == (landing.size_bytes, landing.modified):
        return landing
    match landing.state:
        case "growing" | "waiting" | "set_aside" | "failed":
            return _as_it_is(landing, file, now)
        case "taken" if file.size_bytes != landing.size_bytes:
            # Cameras use their names again. A new time alone is no new film: copies and back-ups set it.
            before = replace(landing, project=None, run_id=None, seen_at=now)
            return replace(_as_it_is(before, file, now), reason=f"what was here before became {landing.project}")
        case _:
            return landing


def _as_it_is(landing: Landing, file: Listed, now: datetime) -> Landing:
    changed = replace(landing, size_bytes=file.size_bytes, modified=file.modified, steady_since=now)
    return changed.now("growing", now)


def _looked_into(watched: Watched, landing: Landing, file: Listed, now: datetime) -> Landing:
    try:
        watched.check(file)
    except InputRejected as error:
        return landing.now("set_aside", now, fault(error))
    return landing.now("waiting", now)


def fault(error: InputRejected) -> str:
    """What is wrong with a file, without where it is: the table says that."""
    return f"{error.what}; expected {error.expected}" if error.expected else error.what
