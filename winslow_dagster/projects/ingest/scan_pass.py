"""One pass over the watched folders: scans each, and ingests complete files within the limits of their watches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from winslow_dagster.errors import WinslowError
from winslow_dagster.locks import take
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.domain.ingest import IN_PROGRESS, IngestFile
from winslow_dagster.projects.ingest.config import Watch, load_watches
from winslow_dagster.projects.ingest.ingest_file import Ingester
from winslow_dagster.projects.ingest.scan import scan
from winslow_dagster.projects.ingest.sources import OpenWatch, open_source
from winslow_dagster.projects.ingest.table import IngestTable

MAX_INGESTED = 50
"""How many files one pass ingests."""
INGEST_FOR_S = 30.0
"""How long a pass begins to ingest files."""


@dataclass(slots=True)
class WatchResult:
    """What a pass did for one watch. `problem` says why it did not do everything."""

    watch: str
    new: int = 0
    complete: int = 0
    rejected: int = 0
    ingested: int = 0
    ready: int = 0
    problem: str = ""

    def __str__(self) -> str:
        counts = {
            "new": self.new,
            "complete": self.complete,
            "rejected": self.rejected,
            "ingested": self.ingested,
            "ready": self.ready,
        }
        text = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no new files"
        return f"{self.watch}: {text}" + (f"; {self.problem}" if self.problem else "")


def run_pass(context: Context) -> tuple[WatchResult, ...] | None:
    """Run one pass over all watches, unless another one is running: then return None.

    A problem with one watch is part of its result. Raises WatchFileInvalid, ServiceUnavailable.
    """
    watches = load_watches(context.settings.watch_file)
    if not watches:
        return ()
    context.settings.home.mkdir(parents=True, exist_ok=True)
    # The kernel frees the lock of a pass that is killed.
    with (context.settings.home / "ingest.lock").open("a") as lock:
        if not take(lock.fileno()):
            return None
        results: list[WatchResult] = []
        deadline_s = time.monotonic() + INGEST_FOR_S
        for watch in watches:
            limit = MAX_INGESTED - sum(result.ingested for result in results)
            results.append(_run_watch(context, watch, limit, deadline_s))
        problems = {result.watch: result.problem for result in results}
        IngestTable(context.records.database).record_problems(problems, context.clock())
        return tuple(results)


def _run_watch(context: Context, watch: Watch, limit: int, deadline_s: float) -> WatchResult:
    table = IngestTable(context.records.database)
    result = WatchResult(watch.name)
    try:
        pipeline = context.pipeline(watch.pipeline).pipeline
        input_name = watch.input_of(pipeline)
        opened = OpenWatch(watch, open_source(watch, context.settings), input_name, pipeline.inputs[input_name])
        found = scan(opened, table, context.clock())
        result.new, result.complete, result.rejected = found.new, found.ready, found.rejected
        ingester = Ingester(context, table, opened)
        _finish_ended(context, table, watch)
        for file in _next_files(table, watch, limit):
            if time.monotonic() > deadline_s:
                break
            state = ingester.ingest(file).state
            result.ingested += state in {"running", "done"}
            result.rejected += state == "rejected"
    except WinslowError as error:
        result.problem = str(error)
    result.ready = table.count(watch.name, "ready")
    return result


def _next_files(table: IngestTable, watch: Watch, limit: int) -> Iterator[IngestFile]:
    """Yield the files in progress, then as many as may begin, the earliest first."""
    begun = table.all(watch=watch.name, states=IN_PROGRESS)
    free = min(watch.max_concurrent - len(begun), limit)
    yield from (file for file in begun if file.state != "running")
    yield from table.all(watch=watch.name, states=("ready",), limit=max(0, free))


def _finish_ended(context: Context, table: IngestTable, watch: Watch) -> None:
    """Mark the files whose run has ended as done."""
    running = table.all(watch=watch.name, states=("running",))
    if not running:
        return
    context.reconcile()
    open_runs = {run.run_id for run in context.records.open_runs()}
    table.apply((), [file.to("done", context.clock()) for file in running if file.run_id not in open_runs])
