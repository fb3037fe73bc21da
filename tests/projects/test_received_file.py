"""A file that arrives in parts, looked at while others begin and cancel."""

from __future__ import annotations

import threading
from pathlib import Path

from winslow_dagster.projects.inputs.digests import Digests
from winslow_dagster.projects.inputs.received_file import ReceivedFile

ROUNDS = 60


def test_what_is_cancelled_while_somebody_looks_at_it_has_nothing(tmp_path: Path) -> None:
    file, ended = ReceivedFile(tmp_path / "upload", "film.mp4", 10, Digests()), threading.Event()

    def begin_and_cancel() -> None:
        for _ in range(ROUNDS):
            file.create()
            file.remove()
        ended.set()

    other = threading.Thread(target=begin_and_cancel)
    other.start()
    looks = 0
    while not ended.is_set():
        assert file.received_bytes() == 0
        looks += 1
    other.join()
    assert looks > 0
