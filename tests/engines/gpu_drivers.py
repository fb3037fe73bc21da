"""Drivers of GPUs as tests need them: one that answers, one that hangs, and one that takes its process down."""

from __future__ import annotations

import os
import signal
import threading

from winslow_dagster.engines.gpu_processes import GpuUser
from winslow_dagster.engines.gpu_readings import GpuReading, Readings


class Busy:
    """Its GPUs are busy to an extent that follows from their numbers."""

    def __init__(self, *gpus: str, users: tuple[GpuUser, ...] | None = None) -> None:
        self._gpus = gpus
        self._users = users

    def read(self) -> Readings:
        return {gpu: GpuReading(10.0 * number, 1e9, 50.0, self._users) for number, gpu in enumerate(self._gpus)}


class Hanging:
    """It does not answer."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.answers = threading.Event()

    def read(self) -> Readings:
        self.asked.set()
        self.answers.wait()
        return {}


class Crashing:
    """It ends the process that asks it, as a fault in a driver's library does."""

    def read(self) -> Readings:
        os.kill(os.getpid(), signal.SIGKILL)
