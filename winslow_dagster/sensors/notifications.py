"""Notes how runs ended, and tells people: one tick each few seconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from dagster import (
    DagsterEventType,
    DagsterInstance,
    DefaultSensorStatus,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
)

from winslow_dagster.projects.dagster_api.run_completion import record_run_ends
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.notifications.apprise import send
from winslow_dagster.projects.notifications.config import load_channels
from winslow_dagster.projects.notifications.outbox import Notices
from winslow_dagster.projects.notifications.rules import note_news, send_waiting
from winslow_dagster.projects.status.project_list import summaries
from winslow_dagster.settings import Settings

PAGE = 100
ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})


@dataclass(frozen=True, slots=True)
class SeenRun:
    """What the instance says of a run."""

    status: str
    ended_at: datetime | None

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status in ENDED


def tell(context: SensorEvaluationContext) -> SkipReason:
    """One tick; the answer says what it did."""
    settings = Settings.read()
    records = ProjectRecords.open(settings.database_url)
    try:
        return SkipReason(told(settings, records, context.instance))
    finally:
        records.close()


def told(settings: Settings, records: ProjectRecords, instance: DagsterInstance) -> str:
    """Note the ends of runs, then note and send what is new. Raises NotifyFileInvalid."""
    open_runs = records.open_runs()
    seen = seen_runs(instance, (run.run_id for run in open_runs))
    ended = record_run_ends(records, open_runs, seen.get, partial(why_failed, instance))
    said = [f"{len(ended)} runs ended"] if ended else []
    channels = load_channels(settings.notify_file)
    notices = Notices(records.database)
    if channels.channels:
        statuses = {run_id: run.status for run_id, run in seen.items()}
        new = note_news(notices, channels, summaries(records, statuses), settings.address, datetime.now(UTC))
        said += [f"{new} things are news"] if new else []
    for channel in channels.channels:
        counts = send_waiting(notices, channel, send, partial(datetime.now, UTC))
        said += [f"{channel.name}: {count} messages {how}" for how, count in counts.items() if count]
    return "; ".join(said) or "nothing new"


def seen_runs(instance: DagsterInstance, run_ids: Iterable[str]) -> dict[str, SeenRun]:
    """Those of these runs that Dagster knows."""
    asked = list(run_ids)
    found = {}
    for at in range(0, len(asked), PAGE):
        for record in instance.get_run_records(RunsFilter(run_ids=asked[at : at + PAGE])):
            ended_at = None if record.end_time is None else datetime.fromtimestamp(record.end_time, UTC)
            found[record.dagster_run.run_id] = SeenRun(record.dagster_run.status.value, ended_at)
    return found


def why_failed(instance: DagsterInstance, run_id: str) -> str:
    """What Dagster says of a run that failed."""
    failures = instance.get_records_for_run(run_id, of_type=DagsterEventType.RUN_FAILURE).records
    return failures[-1].event_log_entry.user_message if failures else "the run failed"


notifications_sensor = SensorDefinition(
    name="tell_people",
    evaluation_fn=tell,
    minimum_interval_seconds=5,
    default_status=DefaultSensorStatus.RUNNING,
    description="Notes how runs ended, and tells people what they asked to be told",
)
