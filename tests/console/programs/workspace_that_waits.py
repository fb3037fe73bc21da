"""A sensor that ends once the file named by GATE is there, or at once if its cursor says so."""

import os
import time
from pathlib import Path

import dagster as dg


@dg.job
def nothing() -> None:
    pass


@dg.sensor(job=nothing)
def wait(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    gate = Path(os.environ["GATE"])
    while context.cursor != "now" and not gate.exists():
        time.sleep(0.05)
    return dg.SkipReason("the gate is open")


definitions = dg.Definitions(jobs=[nothing], sensors=[wait])
