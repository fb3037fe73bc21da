"""Notes every minute how much is free on each disk, tells of quotas, and measures caches every few hours."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

from dagster import DefaultSensorStatus, SensorDefinition, SensorEvaluationContext, SkipReason

from winslow_dagster.engines.factory import open_engine
from winslow_dagster.errors import QuotasInvalid
from winslow_dagster.projects.database.disk_samples import DiskSamples
from winslow_dagster.projects.database.quotas import Quotas
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.database.space_usage import SpaceUsage
from winslow_dagster.projects.notifications.channels import channels_to_send
from winslow_dagster.projects.notifications.outbox import Outbox
from winslow_dagster.projects.notifications.rules import add_messages, quota_messages
from winslow_dagster.projects.retention.disk_forecast import LONGEST, filling_disks, sampled
from winslow_dagster.projects.retention.measurement import measured
from winslow_dagster.settings import Settings

INTERVAL_S = 60
MEASURED_EVERY = timedelta(hours=3)


def watch_disks(context: SensorEvaluationContext) -> SkipReason:
    """Run one tick. The cursor is the time at which caches were last measured."""
    settings, now = Settings.read(), datetime.now(UTC)
    engine = open_engine(settings)
    with closing(ProjectRecords.open(settings.database_url)) as records:
        samples = DiskSamples(records.database)
        samples.add(sampled(engine, now))
        filling = filling_disks(samples.by_node(now - LONGEST), settings, now)
        if context.cursor is None or datetime.fromisoformat(context.cursor) <= now - MEASURED_EVERY:
            SpaceUsage(records.database).note(measured(records, settings, engine), now)
            context.update_cursor(now.isoformat())
        tell_of_quotas(settings, records, now)
    return SkipReason("; ".join(each.text for each in filling) or "no disk is about to be full")


def tell_of_quotas(settings: Settings, records: ProjectRecords, now: datetime) -> int:
    """Put messages about quotas that are nearly used up into the outbox. Returns how many are new.

    A file of quotas or of channels with problems is reported by those who use it for anything else.
    """
    found = channels_to_send(settings, records.database)
    channels = [each for each in found.channels if each.wants_event("quota_near")]
    if not channels:
        return 0
    try:
        uses = Quotas(records.database, settings.quotas_file).uses(now, {})
    except QuotasInvalid:
        return 0
    outbox, base_url = Outbox(records.database), found.base_url or settings.link_base
    return sum(add_messages(outbox, each, quota_messages(each, uses, base_url, now)) for each in channels)


disk_sensor = SensorDefinition(
    name="watch_disks",
    evaluation_fn=watch_disks,
    minimum_interval_seconds=INTERVAL_S,
    default_status=DefaultSensorStatus.RUNNING,
    description="Notes how much is free on each disk, to tell when one will be full, tells of quotas, measures caches",
)
