"""One of each kind of thing that Dagster's mutations change."""

import dagster as dg

CROSSROADS = dg.DynamicPartitionsDefinition(name="crossroads")


@dg.op(pool="limited")
def count() -> None:
    pass


@dg.job
def work() -> None:
    count()


@dg.job(partitions_def=dg.StaticPartitionsDefinition(["ulm", "jena"]))
def each_crossroads() -> None:
    count()


@dg.asset(partitions_def=CROSSROADS)
def table() -> None:
    pass


@dg.asset_check(asset=table)
def complete() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.sensor(job=work)
def watch() -> dg.SkipReason:
    return dg.SkipReason("nothing is there")


@dg.schedule(job=work, cron_schedule="0 0 1 1 *")
def yearly() -> dict[str, str]:
    return {}


definitions = dg.Definitions(
    assets=[table], asset_checks=[complete], jobs=[work, each_crossroads], sensors=[watch], schedules=[yearly]
)
