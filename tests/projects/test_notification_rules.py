"""Which channel gets which messages, when, and how often."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.errors import InputRejected, NotFound, NotifyFileInvalid, ServiceUnavailable, VariableMissing
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.notifications import Occurrence, Subscription
from winslow_dagster.projects.domain.views import ProjectState, ProjectSummary
from winslow_dagster.projects.notifications.config import Channel, Channels, RateLimit, load_channels
from winslow_dagster.projects.notifications.outbox import MAX_FAILURES, Message, Outbox
from winslow_dagster.projects.notifications.rules import (
    add_messages,
    batches,
    combined,
    disk_messages,
    new_messages,
    send_waiting,
)
from winslow_dagster.projects.notifications.service import NotificationService
from winslow_dagster.settings import Settings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BASE_URL = "http://here:3000"


@pytest.fixture
def outbox(database_url: str) -> Iterator[Outbox]:
    records = ProjectRecords.open(database_url)
    yield Outbox(records.database)
    records.close()


def channel(**fields: Any) -> Channel:
    return Channel(**{"name": "team", "url": "json://127.0.0.1:1/", **fields})


def project(
    state: ProjectState, name: str = "ulm", minutes_ago: float = 1, tags: tuple[str, ...] = ()
) -> ProjectSummary:
    at = NOW - timedelta(minutes=minutes_ago)
    return ProjectSummary(name, "traffic", state, "detect: exit 3", tags, f"run-{name}", at, "anna")


def happened(found: ProjectSummary, stage: str = "") -> Occurrence:
    page = f"/questions/{stage}" if found.state == "awaiting_input" else "/stages/detect/log"
    return Occurrence(found, f"/projects/{found.project}{page if stage else ''}", found.reason, stage)


def titles(outbox: Outbox, to: Channel, *projects: ProjectSummary | Occurrence, now: datetime = NOW) -> list[str]:
    found = [each if isinstance(each, Occurrence) else happened(each) for each in projects]
    add_messages(outbox, to, new_messages(to, found, named, BASE_URL, now))
    return [message.title for message in outbox.waiting(to.id)]


def named(line: str, names: Collection[str]) -> frozenset[str]:
    """In the place of the database's selection: a part of the name."""
    return frozenset(name for name in names if line in name)


def own_channel(*subscriptions: Subscription) -> Channel:
    return channel(name="phone", owner="anna", in_file=False, subscriptions=subscriptions)


def test_each_end_is_one_message_with_a_link_and_the_reason(outbox: Outbox) -> None:
    everything = (project("failed"), project("succeeded", "bonn"), project("awaiting_input", "trier"))
    expected = ["bonn finished", "trier needs your input", "ulm failed"]
    assert sorted(titles(outbox, channel(), *everything)) == expected
    assert sorted(titles(outbox, channel(), *everything)) == expected, "and not again"
    (failed,) = [message for message in outbox.waiting("team") if message.event == "failed"]
    assert failed.text.splitlines()[1:] == [
        f"{BASE_URL}/projects/ulm",
        "detect: exit 3",
        "Resume the project: winslow resume ulm",
        "Show the project's status: winslow status ulm",
    ]


def test_each_question_of_a_run_is_a_message_that_links_to_it(outbox: Outbox) -> None:
    asking = project("awaiting_input")
    questions = (happened(asking, "calibrate"), happened(asking, "count"))
    assert titles(outbox, channel(), *questions) == ["ulm needs your input"] * 2
    assert titles(outbox, channel(), questions[1]) == ["ulm needs your input"] * 2, "and not again"
    links = [message.text.splitlines()[1] for message in outbox.waiting("team")]
    assert links == [f"{BASE_URL}/projects/ulm/questions/{stage}" for stage in ("calibrate", "count")]


def test_a_failure_links_to_the_log_of_the_stage(outbox: Outbox) -> None:
    titles(outbox, channel(), happened(project("failed"), "detect"))
    assert outbox.waiting("team")[0].text.splitlines()[1] == f"{BASE_URL}/projects/ulm/stages/detect/log"


def test_subscriptions_say_what_an_own_channel_gets_and_it_gets_each_message_once(outbox: Outbox) -> None:
    everything = (project("failed"), project("succeeded", "bonn"), project("awaiting_input", "trier"))
    failures = Subscription(events=("failed",))
    assert titles(outbox, own_channel(), *everything) == []
    assert titles(outbox, own_channel(failures), *everything) == ["ulm failed"]
    of_ulm = Subscription(events=("failed", "finished"), filter="ulm")
    assert titles(outbox, own_channel(failures, of_ulm), *everything) == ["ulm failed"]
    of_bonn = Subscription(events=("finished",), filter="bonn")
    assert titles(outbox, own_channel(of_ulm, of_bonn), *everything) == ["ulm failed", "bonn finished"]
    assert outbox.waiting("phone") == ()


def test_a_subscription_is_about_what_happens_after_it(outbox: Outbox) -> None:
    later = Subscription(events=("failed", "waiting_too_long"), since=NOW - timedelta(minutes=30))
    assert titles(outbox, own_channel(later), project("failed", minutes_ago=31)) == []
    assert titles(outbox, own_channel(later), project("failed", "bonn", minutes_ago=29)) == ["bonn failed"]
    assert len(titles(outbox, own_channel(later), project("queued", "trier", minutes_ago=61))) == 2


def test_a_disk_that_is_nearly_full_is_one_message_a_day(outbox: Outbox) -> None:
    to = channel(events=("disk_low",))
    for hours in (0, 6, 12):
        add_messages(
            outbox, to, disk_messages(to, [("node1", "2 GB of 1 TB are free")], BASE_URL, NOW + timedelta(hours=hours))
        )
    first, second = outbox.waiting("team")
    assert first.text == f"The disk of node1 is nearly full\n{BASE_URL}/space\n2 GB of 1 TB are free"
    assert (first.key, second.key) == ("disk_low:node1:2026-03-01", "disk_low:node1:2026-03-02")
    assert list(disk_messages(channel(), [("node1", "")], BASE_URL, NOW)) == []


@pytest.mark.parametrize("state", ["running", "queued", "paused", "cancelled", "idle"])
def test_states_that_a_person_caused_or_sees_lead_to_no_message(outbox: Outbox, state: ProjectState) -> None:
    assert titles(outbox, channel(), project(state)) == []


def test_a_channel_gets_only_the_messages_it_is_configured_for(outbox: Outbox) -> None:
    assert titles(outbox, channel(events=("failed",)), project("succeeded")) == []
    assert titles(outbox, channel(projects=("bonn*",)), project("failed")) == []
    assert titles(outbox, channel(tags=("urgent",)), project("failed")) == []
    assert titles(outbox, channel(tags=("urgent",)), project("failed", tags=("urgent", "old"))) == ["ulm failed"]


def test_runs_that_ended_long_ago_lead_to_no_message(outbox: Outbox) -> None:
    assert titles(outbox, channel(), project("failed", minutes_ago=25 * 60)) == []


def test_a_project_that_waits_too_long_is_one_message(outbox: Outbox) -> None:
    patient = channel(events=("waiting_too_long",), waiting_too_long_s=7200)
    assert titles(outbox, patient, project("queued", minutes_ago=119)) == []
    assert titles(outbox, patient, project("queued", minutes_ago=121)) == ["ulm has been queued for 2 h 1 min"]
    assert len(titles(outbox, patient, project("queued", minutes_ago=180))) == 1
    waits = project("awaiting_input", "bonn", minutes_ago=300)
    assert "bonn has been waiting for input for 5 h 0 min" in titles(outbox, patient, waits)


def many(count: int, at: datetime = NOW) -> list[Message]:
    return [Message("team", f"k{number}", "p", "failed", f"p{number} failed\nbecause", at) for number in range(count)]


@given(st.integers(0, 60), st.integers(-3, 30))
def test_the_rate_limit_is_kept_and_nothing_is_lost(waiting: int, allowed: int) -> None:
    found = batches(many(waiting), allowed)
    assert len(found) <= max(0, allowed)
    flat = [message for batch in found for message in batch]
    assert flat == (many(waiting) if allowed > 0 else [])


def test_messages_beyond_the_rate_limit_are_combined_and_count_once(outbox: Outbox) -> None:
    outbox.add(many(30))
    sent: list[tuple[str, str]] = []
    clock = iter(NOW + timedelta(seconds=second) for second in range(1000))
    limited = channel(rate_limit=RateLimit(max=5, per_s=60))

    def go() -> dict[str, int]:
        return dict(
            send_waiting(outbox, limited, lambda _to, title, body: sent.append((title, body)), lambda: next(clock))
        )

    assert go() == {"sent": 5, "failed": 0}
    assert [title for title, _ in sent[:2]] == ["p0 failed", "p1 failed"]
    assert sent[-1][0] == "26 more messages"
    assert "and 6 more" in sent[-1][1]
    outbox.add([Message("team", "late", "p", "failed", "late failed", NOW)])
    assert go() == {"sent": 0, "failed": 0}, "the window is full"
    for _ in range(70):
        next(clock)
    assert go() == {"sent": 1, "failed": 0}


def test_a_message_that_cannot_be_sent_is_retried_with_growing_delays_and_then_given_up(outbox: Outbox) -> None:
    outbox.add(many(1))
    now = datetime.now(UTC)

    def down(_to: str, _title: str, _body: str) -> None:
        raise ServiceUnavailable("nobody answers")

    tries = 0
    for minute in range(24 * 60):
        tries += send_waiting(outbox, channel(), down, lambda minute=minute: now + timedelta(minutes=minute))["failed"]
        if not outbox.waiting("team"):
            break
    assert tries == MAX_FAILURES
    (kept,) = outbox.latest(100)
    assert kept.state == "given_up"
    assert kept.last_failure == "nobody answers"


def test_one_broken_channel_does_not_affect_others(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_TOKEN", raising=False)
    bad = channel(name="bad", url="slack://${NO_SUCH_TOKEN}")
    with pytest.raises(VariableMissing):
        bad.address()
    outbox.add(
        [Message("bad", "k", "p", "failed", "p failed", NOW), Message("team", "k", "p", "failed", "p failed", NOW)]
    )
    assert send_waiting(outbox, bad, lambda *_: None, lambda: NOW) == {"sent": 0, "failed": 1}
    assert send_waiting(outbox, channel(), lambda *_: None, lambda: NOW) == {"sent": 1, "failed": 0}
    assert "NO_SUCH_TOKEN" in outbox.waiting("bad")[0].last_failure


def test_a_channel_that_does_not_answer_is_asked_once_at_a_time(outbox: Outbox) -> None:
    outbox.add(many(3))
    asked: list[str] = []

    def down(_to: str, title: str, _body: str) -> None:
        asked.append(title)
        raise ServiceUnavailable("nobody answers")

    now = datetime.now(UTC)
    for count in (1, 2, 3, 3):
        send_waiting(outbox, channel(), down, lambda: now)
        assert len(asked) == count
    assert sorted(asked) == ["p0 failed", "p1 failed", "p2 failed"]


def test_a_single_message_is_sent_as_it_is() -> None:
    assert combined(many(1)) == ("p0 failed", "because")


def test_a_notification_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "notify.yaml"
    assert load_channels(file) == Channels()
    file.write_text("# nobody yet\n")
    assert load_channels(file) == Channels()
    file.write_text(
        "base_url: http://winslow.example.org/\n"
        "channels:\n"
        "  - {name: team, url: 'slack://${TOKENS}/#drones', events: failed, waiting_too_long: 2h, "
        "rate_limit: {max: 5, per: 10min}}\n"
    )
    read = load_channels(file)
    assert read.base_url == "http://winslow.example.org"
    assert read.channels[0] == Channel(
        name="team",
        url="slack://${TOKENS}/#drones",
        events=("failed",),
        waiting_too_long_s=7200,
        rate_limit=RateLimit(max=5, per_s=600),
    )


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("{name: a, url: nonsense}", "is not a URL"),
        ("{name: a, url: 'json://x', events: [fialed]}", "did you mean failed"),
        ("{name: a, url: 'json://x', evens: [failed]}", "did you mean events"),
        ("{name: a}", "url"),
        ("{name: a, url: 'json://${X'}", "is not closed"),
        ("{name: a, url: 'json://x', rate_limit: {per: soon}}", "per"),
        ("{name: a, url: 'json://x'}\n  - {name: a, url: 'json://x'}", "duplicate channel name"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, line: str, text: str) -> None:
    file = tmp_path / "notify.yaml"
    file.write_text(f"channels:\n  - {line}\n")
    with pytest.raises(NotifyFileInvalid) as caught:
        load_channels(file)
    assert text in str(caught.value)
    assert "notify.yaml:2:" in str(caught.value) or "notify.yaml:3:" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{events: [needs_you]}", '2:41: an item of `events` is "needs_you"; did you mean action_required?'),
        ("{events: [waits_longer]}", '2:41: an item of `events` is "waits_longer"; did you mean waiting_too_long?'),
        ("{waits_longer: 2h}", "2:32: a channel has no field `waits_longer`; did you mean waiting_too_long?"),
        ("{at_most: 5}", "2:32: a channel has no field `at_most`; did you mean rate_limit?"),
        ("{per: 1h}", "2:32: a channel has no field `per`; did you mean rate_limit?"),
    ],
)
def test_an_old_field_is_an_error_at_its_line_that_names_the_new_one(
    tmp_path: Path, content: str, problem: str
) -> None:
    file = tmp_path / "notify.yaml"
    file.write_text(f"channels:\n  - {{name: a, url: 'json://x', {content[1:]}\n")
    assert faults(file) == [f"{file}:{problem}"]


def test_the_old_field_of_the_whole_file_is_an_error_that_names_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / "notify.yaml"
    file.write_text("link: http://x\nchannels: []\n")
    assert faults(file) == [f"{file}:1:1: the notification file has no field `link`; did you mean base_url?"]


def faults(file: Path) -> list[str]:
    with pytest.raises(NotifyFileInvalid) as caught:
        load_channels(file)
    return [re.sub("; expected [^;]*", "", str(problem)) for problem in caught.value.problems]


def test_a_channel_of_the_file_is_tested_without_the_database_and_an_unknown_one_is_an_error(
    tmp_path: Path, database_url: str
) -> None:
    def no_database() -> Database:
        raise AssertionError

    file = tmp_path / "notify.yaml"
    file.write_text("channels: [{name: hook, url: 'nonsense://x'}]\n")
    settings = Settings.read({"WINSLOW_NOTIFY_FILE": str(file)})
    with pytest.raises(InputRejected, match="unsupported service"):
        NotificationService(no_database, settings).test("hook")
    with (
        closing(Database(database_url)) as database,
        pytest.raises(NotFound, match="channel 'hok' does not exist; expected one of hook, or an Apprise URL"),
    ):
        NotificationService(lambda: database, settings).test("hok")


def test_messages_are_listed_with_their_states(outbox: Outbox, database_url: str) -> None:
    outbox.add(many(1))
    send_waiting(outbox, channel(), lambda *_: None, lambda: NOW)
    outbox.add([Message("team", "later", "p", "failed", "later failed", NOW + timedelta(minutes=1))])
    database = Database(database_url)
    listed = NotificationService(lambda: database, Settings.read({})).messages().model_dump(mode="json")
    database.close()
    assert [(message["title"], message["state"]) for message in listed["messages"]] == [
        ("later failed", "waiting"),
        ("p0 failed", "sent"),
    ]
