"""Records how runs ended, and sends notifications: one tick every few seconds."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
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

from winslow_dagster.projects.dagster_api.run_completion import record_run_ends, statuses_of, unsettled_runs
from winslow_dagster.projects.database.disk_samples import DiskSamples
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.notifications.apprise import send
from winslow_dagster.projects.notifications.channels import channels_to_send
from winslow_dagster.projects.notifications.outbox import Outbox
from winslow_dagster.projects.notifications.rules import add_messages, disk_messages, new_messages, send_waiting
from winslow_dagster.projects.retention.disk_forecast import LONGEST, filling_disks
from winslow_dagster.projects.status.occurrences import occurrences, selected_by
from winslow_dagster.projects.status.project_list import summaries
from winslow_dagster.settings import Settings

PAGE = 100
ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})


@dataclass(frozen=True, slots=True)
class SeenRun:
    """A run in the Dagster instance."""

    status: str
    ended_at: datetime | None

    @property
    def ended(self) -> bool:
        """Whether its status is final."""
        return self.status in ENDED


def send_notifications(context: SensorEvaluationContext) -> SkipReason:
    """Run one tick, and report what it did."""
    settings = Settings.read()
    with closing(ProjectRecords.open(settings.database_url)) as records:
        return SkipReason(notify(settings, records, context.instance))


def notify(settings: Settings, records: ProjectRecords, instance: DagsterInstance) -> str:
    """Record the ends of runs, then add and send new messages.

    Raises NotifyFileInvalid, after the messages to the channels that are not in the file.
    """
    unsettled = unsettled_runs(records)
    seen = seen_runs(instance, (run.run_id for run in unsettled))
    ended = record_run_ends(records, unsettled, seen.get, partial(failure_message, instance))
    report = [f"{len(ended)} runs ended"] if ended else []
    found = channels_to_send(settings, records.database)
    outbox = Outbox(records.database)
    if found.channels:
        now, base_url = datetime.now(UTC), found.base_url or settings.link_base
        happened = occurrences(records.database, summaries(records, statuses_of(unsettled, seen.get)), now)
        select, new = partial(selected_by, records.database), 0
        for channel in found.channels:
            new += add_messages(outbox, channel, new_messages(channel, happened, select, base_url, now))
        if any(channel.wants_event("disk_low") for channel in found.channels):
            low = nearly_full(settings, records, now)
            for channel in found.channels:
                new += add_messages(outbox, channel, disk_messages(channel, low, base_url, now))
        report += [f"{new} new messages"] if new else []
    for channel in found.channels:
        counts = send_waiting(outbox, channel, send, partial(datetime.now, UTC))
        report += [f"{channel.id}: {count} messages {outcome}" for outcome, count in counts.items() if count]
    if found.fault is not None:
        raise found.fault
    return "; ".join(report) or "nothing new"


def nearly_full(settings: Settings, records: ProjectRecords, now: datetime) -> tuple[tuple[str, str], ...]:
    """The nodes whose disks are nearly full, or will be soon, with how much is free and for how long that lasts."""
    filling = filling_disks(DiskSamples(records.database).by_node(now - LONGEST), settings, now)
    return tuple((each.node, each.text) for each in filling)


def seen_runs(instance: DagsterInstance, run_ids: Iterable[str]) -> dict[str, SeenRun]:
    """Look up these runs; ids that Dagster does not know are left out."""
    requested = list(run_ids)
    found = {}
    for start in range(0, len(requested), PAGE):
        for record in instance.get_run_records(RunsFilter(run_ids=requested[start : start + PAGE])):
            ended_at = None if record.end_time is None else datetime.fromtimestamp(record.end_time, UTC)
            found[record.dagster_run.run_id] = SeenRun(record.dagster_run.status.value, ended_at)
    return found


def failure_message(instance: DagsterInstance, run_id: str) -> str:
    """Return Dagster's message about a failed run."""
    failures = instance.get_records_for_run(run_id, of_type=DagsterEventType.RUN_FAILURE).records
    return failures[-1].event_log_entry.user_message if failures else "the run failed"


notifications_sensor = SensorDefinition(
    name="send_notifications",
    evaluation_fn=send_notifications,
    minimum_interval_seconds=5,
    default_status=DefaultSensorStatus.RUNNING,
    description="Records how runs ended, and sends notifications",
)
