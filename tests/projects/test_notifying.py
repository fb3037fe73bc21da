"""Who is told what, when, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.errors import NotifyFileInvalid, ServiceUnavailable, VariableMissing
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.views import ProjectState, ProjectSummary
from winslow_dagster.projects.notifications.config import Channel, Channels, load_channels
from winslow_dagster.projects.notifications.outbox import MOST_FAILURES, Notice, Notices
from winslow_dagster.projects.notifications.rules import as_text, gathered, note_news, send_waiting

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LINK = "http://here:3000"


@pytest.fixture
def notices(database_url: str) -> Iterator[Notices]:
    records = ProjectRecords.open(database_url)
    yield Notices(records.database)
    records.close()


def channel(**said: Any) -> Channel:
    return Channel(**{"name": "team", "url": "json://127.0.0.1:1/", **said})


def project(
    state: ProjectState, name: str = "ulm", minutes_ago: float = 1, tags: tuple[str, ...] = ()
) -> ProjectSummary:
    at = NOW - timedelta(minutes=minutes_ago)
    return ProjectSummary(name, "traffic", state, "detect: exit 3", tags, f"run-{name}", at, "anna")


def told(notices: Notices, to: Channel, *projects: ProjectSummary, now: datetime = NOW) -> list[str]:
    note_news(notices, Channels(channels=(to,)), projects, LINK, now)
    return [notice.title for notice in notices.waiting(to.name)]


def test_each_end_is_told_once_with_its_reason_and_a_link(notices: Notices) -> None:
    everything = (project("failed"), project("succeeded", "bonn"), project("awaiting_input", "trier"))
    expected = ["bonn has finished", "trier needs you", "ulm failed"]
    assert sorted(told(notices, channel(), *everything)) == expected
    assert sorted(told(notices, channel(), *everything)) == expected, "and not again"
    (failed,) = [notice for notice in notices.waiting("team") if notice.kind == "failed"]
    assert failed.text.splitlines()[1:] == [
        "detect: exit 3",
        "winslow resume ulm, or winslow redo ulm STAGE",
        f"{LINK}/runs/run-ulm",
    ]


@pytest.mark.parametrize("state", ["running", "queued", "paused", "cancelled", "idle"])
def test_what_a_person_did_or_sees_is_no_news(notices: Notices, state: ProjectState) -> None:
    assert told(notices, channel(), project(state)) == []


def test_a_channel_is_told_only_of_what_it_asked_for(notices: Notices) -> None:
    assert told(notices, channel(events=("failed",)), project("succeeded")) == []
    assert told(notices, channel(projects=("bonn*",)), project("failed")) == []
    assert told(notices, channel(tags=("urgent",)), project("failed")) == []
    assert told(notices, channel(tags=("urgent",)), project("failed", tags=("urgent", "old"))) == ["ulm failed"]


def test_what_ended_long_ago_is_no_news(notices: Notices) -> None:
    assert told(notices, channel(), project("failed", minutes_ago=25 * 60)) == []


def test_a_project_that_waits_too_long_is_told_once(notices: Notices) -> None:
    patient = channel(events=("waits_longer",), waits_longer_s=7200)
    assert told(notices, patient, project("queued", minutes_ago=119)) == []
    assert told(notices, patient, project("queued", minutes_ago=121)) == ["ulm is queued since 2 h 1 min"]
    assert len(told(notices, patient, project("queued", minutes_ago=180))) == 1
    waits = project("awaiting_input", "bonn", minutes_ago=300)
    assert "bonn waits for a person since 5 h 0 min" in told(notices, patient, waits)


def many(count: int, at: datetime = NOW) -> list[Notice]:
    return [Notice("team", f"k{number}", "p", "failed", f"p{number} failed\nbecause", at) for number in range(count)]


@given(st.integers(0, 60), st.integers(-3, 30))
def test_the_measure_is_kept_and_nothing_is_lost(waiting: int, allowed: int) -> None:
    messages = gathered(many(waiting), allowed)
    assert len(messages) <= max(0, allowed)
    flat = [notice for together in messages for notice in together]
    assert flat == (many(waiting) if allowed > 0 else [])


def test_what_is_beyond_the_measure_comes_in_one_message_and_counts_once(notices: Notices) -> None:
    notices.note(many(30))
    sent: list[tuple[str, str]] = []
    clock = iter(NOW + timedelta(seconds=second) for second in range(1000))
    measured = channel(at_most=5, per_s=60)

    def go() -> dict[str, int]:
        return dict(
            send_waiting(notices, measured, lambda _to, title, body: sent.append((title, body)), lambda: next(clock))
        )

    assert go() == {"sent": 5, "failed": 0}
    assert [title for title, _ in sent[:2]] == ["p0 failed", "p1 failed"]
    assert sent[-1][0] == "26 more projects"
    assert "and 6 more" in sent[-1][1]
    notices.note([Notice("team", "late", "p", "failed", "late failed", NOW)])
    assert go() == {"sent": 0, "failed": 0}, "the window is full"
    for _ in range(70):
        next(clock)
    assert go() == {"sent": 1, "failed": 0}


def test_what_cannot_be_sent_is_tried_ever_later_and_then_given_up(notices: Notices) -> None:
    notices.note(many(1))
    now = datetime.now(UTC)

    def down(_to: str, _title: str, _body: str) -> None:
        raise ServiceUnavailable("nobody answers")

    tries = 0
    for minute in range(24 * 60):
        tries += send_waiting(notices, channel(), down, lambda minute=minute: now + timedelta(minutes=minute))["failed"]
        if not notices.waiting("team"):
            break
    assert tries == MOST_FAILURES
    (kept,) = notices.latest()
    assert kept.given_up
    assert kept.last_failure == "nobody answers"


def test_one_bad_channel_does_not_keep_others_from_being_told(
    notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_TOKEN", raising=False)
    bad = channel(name="bad", url="slack://${NO_SUCH_TOKEN}")
    with pytest.raises(VariableMissing):
        bad.address()
    notices.note(
        [Notice("bad", "k", "p", "failed", "p failed", NOW), Notice("team", "k", "p", "failed", "p failed", NOW)]
    )
    assert send_waiting(notices, bad, lambda *_: None, lambda: NOW) == {"sent": 0, "failed": 1}
    assert send_waiting(notices, channel(), lambda *_: None, lambda: NOW) == {"sent": 1, "failed": 0}
    assert "NO_SUCH_TOKEN" in notices.waiting("bad")[0].last_failure


def test_a_message_of_one_is_itself() -> None:
    assert as_text(many(1)) == ("p0 failed", "because")


def test_a_file_of_channels_is_read(tmp_path: Path) -> None:
    file = tmp_path / "notify.yaml"
    assert load_channels(file) == Channels()
    file.write_text("# nobody yet\n")
    assert load_channels(file) == Channels()
    file.write_text(
        "link: http://winslow.example.org/\n"
        "channels:\n"
        "  - {name: team, url: 'slack://${TOKENS}/#drones', events: failed, waits_longer: 2h, at_most: 5, per: 10min}\n"
    )
    read = load_channels(file)
    assert read.link == "http://winslow.example.org"
    assert read.channels[0] == Channel(
        name="team", url="slack://${TOKENS}/#drones", events=("failed",), waits_longer_s=7200, at_most=5, per_s=600
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{name: a, url: nonsense}", "is no address"),
        ("{name: a, url: 'json://x', events: [fialed]}", "did you mean failed"),
        ("{name: a, url: 'json://x', evens: [failed]}", "did you mean events"),
        ("{name: a}", "url"),
        ("{name: a, url: 'json://${X'}", "is not closed"),
        ("{name: a, url: 'json://x', per: soon}", "per"),
        ("{name: a, url: 'json://x'}\n  - {name: a, url: 'json://x'}", "two channels are called"),
    ],
)
def test_a_wrong_line_is_told_with_its_place(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "notify.yaml"
    file.write_text(f"channels:\n  - {line}\n")
    with pytest.raises(NotifyFileInvalid) as caught:
        load_channels(file)
    assert says in str(caught.value)
    assert "notify.yaml:2:" in str(caught.value) or "notify.yaml:3:" in str(caught.value)
