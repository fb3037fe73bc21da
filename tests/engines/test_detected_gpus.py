"""GPUs are looked for again: one may fall off its bus, and a driver may come back."""

from __future__ import annotations

import pytest
from patience import until

from winslow_dagster.engines import local_node
from winslow_dagster.engines.hardware import GpuReport
from winslow_dagster.engines.local_node import DetectedGpus


def test_a_gpu_that_falls_off_is_noticed_without_anybody_waiting_for_its_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local_node, "GPUS_KEPT_S", 0.0)
    notes = ["none yet"]
    detected = DetectedGpus(lambda: GpuReport(notes=(notes[0],)))
    assert detected.report().notes == ("none yet",)

    notes[0] = "the NVIDIA driver has not answered"

    until("it was looked for again", lambda: detected.report().notes == (notes[0],))


def test_they_are_not_looked_for_at_every_question() -> None:
    looks: list[int] = []

    def detect() -> GpuReport:
        looks.append(1)
        return GpuReport()

    detected = DetectedGpus(detect)
    for _ in range(5):
        detected.report()

    assert len(looks) == 1
