"""Delivery is at least once: a sender that is killed loses nothing, and repeats only what it had not recorded."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from receiver import Receiver

from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.notifications.outbox import Message, Outbox

SENDER = Path(__file__).with_name("killed_sender.py")


@pytest.mark.slow
def test_a_sender_that_is_killed_before_it_records_a_message_loses_none(database_url: str) -> None:
    sender: subprocess.Popen[bytes] | None = None
    to_kill_at: list[str] = []

    def kill(message: dict[str, Any]) -> None:
        if message["title"] in to_kill_at and sender is not None:
            sender.kill()
            sender.wait()

    def run() -> int:
        nonlocal sender
        sender = subprocess.Popen([sys.executable, str(SENDER), database_url, str(receiver.port)])
        return sender.wait()

    with closing(ProjectRecords.open(database_url)) as records, Receiver(received=kill) as receiver:
        outbox = Outbox(records.database)
        now = datetime.now(UTC)
        outbox.add(Message("hook", f"k{number}", None, "failed", f"p{number} failed", now) for number in range(4))
        for title in ("p0 failed", "p1 failed"):
            to_kill_at[:] = [title]
            assert run() == -9
        to_kill_at.clear()
        assert run() == 0
        assert Counter(receiver.titles) == {"p0 failed": 2, "p1 failed": 2, "p2 failed": 1, "p3 failed": 1}
        assert [message.state for message in outbox.latest(10)] == ["sent"] * 4
        assert run() == 0
        assert len(receiver.messages) == 6, "nothing is sent that was recorded"
