"""A sensor that ends once the file named by GATE is there."""

import os
import time
from pathlib import Path

import dagster as dg


@dg.job
def nothing() -> None:
    pass


@dg.sensor(job=nothing)
def wait() -> dg.SkipReason:
    gate = Path(os.environ["GATE"])
    while not gate.exists():
        time.sleep(0.05)
    return dg.SkipReason("the gate is open")


definitions = dg.Definitions(jobs=[nothing], sensors=[wait])
