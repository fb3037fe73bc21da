"""Channels that people add: whose they are, what they may be, and who may change them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from winslow_dagster.errors import (
    FilterInvalid,
    Forbidden,
    InputRejected,
    NotFound,
    ProjectConflict,
    ServiceUnavailable,
)
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.audit import Audit
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.actor import Actor, Role
from winslow_dagster.projects.domain.notifications import MOST_CHANNELS, Subscription
from winslow_dagster.projects.notifications.channels import channels_to_send
from winslow_dagster.projects.notifications.outbox import MAX_FAILURES, Message, Outbox
from winslow_dagster.projects.notifications.service import NotificationService
from winslow_dagster.settings import Settings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HARMLESS = "ntfys://ntfy.example/anna-phone"
TOKEN = "T0KEN"  # to be looked for


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(ProjectRecords.open(database_url)) as records:
        yield records.database


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.read({"WINSLOW_HOME": str(tmp_path)})


@pytest.fixture
def service(database: Database, settings: Settings) -> Callable[[str, Role | None], NotificationService]:
    def of(who: str, role: Role | None) -> NotificationService:
        return NotificationService(lambda: database, settings, Actor(who, "console", "", role), lambda: NOW)

    return of


Service = Callable[[str, Role | None], NotificationService]


def person(database: Database, name: str, role: Role, disabled_at: datetime | None = None) -> None:
    row = {"name": name, "display_name": name, "role": role, "created_at": NOW, "disabled_at": disabled_at}
    with database.writing() as connection:
        connection.execute(schema.people.insert().values(row))


def test_everybody_has_own_channels_that_nobody_else_sees(service: Service) -> None:
    anna, bruno = service("anna", "viewer"), service("bruno", "admin")
    anna.add("phone", HARMLESS)
    bruno.add("phone", HARMLESS)
    bruno.add("team", f"json://user:{TOKEN}@127.0.0.1:1/", own=False)
    assert [each.id for each in anna.channels().channels] == ["team", "anna/phone"]
    assert [each.id for each in bruno.channels().channels] == ["team", "bruno/phone"]
    assert TOKEN not in anna.channels().model_dump_json()
    with pytest.raises(NotFound):
        service("carla", "viewer").remove("phone")
    anna.remove("phone")
    assert [each.id for each in service("bruno", None).channels().channels] == ["team", "bruno/phone"]


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_administrators_change_and_test_what_is_everybodys(service: Service, role: Role) -> None:
    service("bruno", "admin").add("team", HARMLESS, own=False)
    anna = service("anna", role)
    with pytest.raises(Forbidden):
        anna.add("other", HARMLESS, own=False)
    with pytest.raises(Forbidden):
        anna.change("team", own=False, version=1, subscriptions=())
    with pytest.raises(Forbidden):
        anna.remove("team", own=False)
    for channel in ("team", "bruno/phone", "json://192.0.2.1/"):
        with pytest.raises(Forbidden):
            anna.test(channel)


@pytest.mark.parametrize(
    "url",
    [
        "json://127.0.0.1:1/",
        "json://localhost:1/",
        "jsons://[::1]:1/",
        "json://[::ffff:127.0.0.1]:1/",
        "json://0.0.0.0:1/",
        "json://169.254.169.254/latest",
        "mailto://user:password@example.org?smtp=127.0.0.1",
        "syslog://",
        "json://192.0.2.1/?redirect=yes",
        "workflows://example.org/a/b/?template=/etc/passwd",
    ],
)
def test_people_cannot_have_the_server_reach_itself_or_read_its_files(service: Service, url: str) -> None:
    with pytest.raises((Forbidden, InputRejected)):
        service("anna", "operator").add("phone", url)
    assert service("anna", "operator").channels().channels == ()


def test_an_address_is_checked_again_before_it_is_used(
    service: Service, database: Database, settings: Settings
) -> None:
    person(database, "anna", "admin")
    service("anna", "admin").add("hook", "json://127.0.0.1:1/")
    (sent_to,) = channels_to_send(settings, database).channels
    assert sent_to.address() == "json://127.0.0.1:1/"
    with database.writing() as connection:
        connection.execute(schema.people.update().values(role="operator"))
    (sent_to,) = channels_to_send(settings, database).channels
    with pytest.raises(Forbidden):
        sent_to.address()


def test_who_may_not_log_in_gets_no_messages(service: Service, database: Database, settings: Settings) -> None:
    person(database, "anna", "viewer", disabled_at=NOW)
    service("anna", "viewer").add("phone", HARMLESS)
    assert channels_to_send(settings, database).channels == ()


@pytest.mark.parametrize("name", ["", "Phone", "a/b", "-a", "ä", "a" * 64])
def test_a_name_that_is_none_is_an_error(service: Service, name: str) -> None:
    with pytest.raises(InputRejected, match="is not a name of a channel"):
        service("anna", "viewer").add(name, HARMLESS)


def test_what_cannot_be_sent_to_is_an_error_without_its_secrets(service: Service) -> None:
    for url in (f"nonsense://{TOKEN}", TOKEN, f"json://{TOKEN}\n/a", "x" * 5000):
        with pytest.raises(InputRejected) as caught:
            service("anna", "admin").add("phone", url)
        assert TOKEN not in str(caught.value)


def test_a_filter_is_checked_as_that_of_the_list_of_projects(service: Service) -> None:
    anna = service("anna", "viewer")
    with pytest.raises(FilterInvalid, match="there is no filter word tga:"):
        anna.add("phone", HARMLESS, [Subscription(filter="tga:ulm")])
    with pytest.raises(InputRejected, match="without state:"):
        anna.add("phone", HARMLESS, [Subscription(filter="state:failed")])
    added = anna.add("phone", HARMLESS, [Subscription(filter=" tag:ulm "), Subscription(filter="tag:ulm")])
    assert [(each.filter, each.since) for each in added.subscriptions] == [("tag:ulm", NOW)]


def test_a_person_has_no_more_channels_than_anybody_needs(service: Service) -> None:
    anna = service("anna", "viewer")
    for number in range(MOST_CHANNELS):
        anna.add(f"c{number}", HARMLESS)
    with pytest.raises(InputRejected, match=f"at most {MOST_CHANNELS}"):
        anna.add("another", HARMLESS)
    assert len(anna.channels().channels) == MOST_CHANNELS


def test_of_two_who_change_a_channel_at_once_the_second_is_told(service: Service) -> None:
    anna, bruno = service("anna", "admin"), service("bruno", "admin")
    seen = anna.add("team", HARMLESS, own=False)
    with pytest.raises(ProjectConflict, match="there is a channel"):
        bruno.add("team", HARMLESS, own=False)
    changed = bruno.change("team", own=False, version=seen.version, subscriptions=[Subscription(events=("failed",))])
    for act in (
        lambda: anna.change("team", own=False, version=seen.version, address="ntfys://ntfy.example/other"),
        lambda: anna.remove("team", own=False, version=seen.version),
    ):
        with pytest.raises(ProjectConflict, match="bruno has changed the channel 'team' meanwhile"):
            act()
    assert anna.channels().channels == (changed,)


def test_the_audit_trail_says_what_it_was_and_became_and_no_secret(service: Service, database: Database) -> None:
    anna = service("anna", "admin")
    anna.add("team", f"json://{TOKEN}@192.0.2.1/", own=False)
    anna.change("team", own=False, version=1, address=f"ntfys://{TOKEN}/topic", subscriptions=[])
    anna.remove("team", own=False)
    removed, changed, added = Audit(database).entries()
    usual = [{"events": ["finished", "failed", "action_required"], "filter": ""}]
    before, after = {"service": "json://…", "subscriptions": usual}, {"service": "ntfys://…", "subscriptions": []}
    assert (added.action, added.details) == ("channel_add", {"channel": "team", "after": before})
    assert changed.details == {"channel": "team", "before": before, "after": after, "address": "changed"}
    assert (removed.action, removed.details) == ("channel_remove", {"channel": "team", "before": after})
    assert TOKEN not in str((removed, changed, added))


def test_a_channel_of_the_file_wins_and_is_changed_there(
    service: Service, database: Database, settings: Settings
) -> None:
    anna = service("anna", "admin")
    anna.add("team", HARMLESS, own=False)
    settings.notify_file.write_text("channels: [{name: team, url: 'json://${HOST}/', projects: ['ulm-*']}]\n")
    (shown,) = anna.channels().channels
    assert (shown.in_file, shown.service, shown.projects) == (True, "json://…", ("ulm-*",))
    assert [each.in_file for each in channels_to_send(settings, database).channels] == [True]
    with pytest.raises(ProjectConflict, match="there is a channel 'team'"):
        anna.add("team", HARMLESS, own=False)


def test_a_file_with_a_fault_keeps_nothing_from_other_channels(
    service: Service, database: Database, settings: Settings
) -> None:
    anna = service("anna", "admin")
    anna.add("phone", HARMLESS)
    settings.notify_file.write_text("channels: [{name: team}]\n")
    found = channels_to_send(settings, database)
    assert [each.id for each in found.channels] == ["anna/phone"]
    assert "notify.yaml:1:" in str(found.fault)
    assert "notify.yaml:1:" in anna.channels().file_fault


def test_a_file_under_version_control_is_the_only_place_of_what_is_everybodys(
    service: Service, settings: Settings
) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(settings.home), *arguments], check=True, capture_output=True)

    anna = service("anna", "admin")
    settings.notify_file.write_text("channels: []\n")
    git("init")
    assert not anna.channels().file_tracked, "it only lies beside what is under version control"
    anna.add("team", HARMLESS, own=False)
    git("add", settings.notify_file.name)
    assert anna.channels().file_tracked
    with pytest.raises(ProjectConflict, match=r"under version control.*Change the file there"):
        anna.change("team", own=False, version=1, subscriptions=())
    anna.add("phone", HARMLESS)


def test_a_message_that_was_given_up_is_tried_again_by_who_may(service: Service, database: Database) -> None:
    outbox = Outbox(database)
    sent = [Message(channel, "k", "p", "failed", "p failed", NOW) for channel in ("anna/phone", "team")]
    outbox.add(sent)
    with pytest.raises(NotFound):
        service("anna", "viewer").retry("anna/phone", "k")
    for _ in range(MAX_FAILURES):
        outbox.mark_failed(sent, "nobody answers")
    assert outbox.waiting("anna/phone") == ()
    with pytest.raises(Forbidden):
        service("anna", "viewer").retry("team", "k")
    service("anna", "viewer").retry("anna/phone", "k")
    (again,) = outbox.waiting("anna/phone")
    assert again.due(NOW - timedelta(days=1))


def test_who_sees_which_messages(service: Service, database: Database) -> None:
    Outbox(database).add(
        [Message(channel, "k", "p", "failed", "p failed", NOW) for channel in ("anna/phone", "bruno/phone", "team")]
    )

    def seen(who: str, role: Role | None) -> set[str]:
        return {each.channel for each in service(who, role).messages().messages}

    assert seen("anna", "viewer") == {"anna/phone", "team"}
    assert seen("carla", "admin") == seen("carla", None) == {"anna/phone", "bruno/phone", "team"}


def test_what_waits_for_a_removed_channel_is_dropped(service: Service, database: Database) -> None:
    anna, outbox = service("anna", "viewer"), Outbox(database)
    anna.add("phone", HARMLESS)
    outbox.add([Message("anna/phone", "k", "p", "failed", "p failed", NOW)])
    anna.remove("phone")
    assert outbox.waiting("anna/phone") == ()


def test_a_test_message_that_does_not_arrive_is_an_error(service: Service) -> None:
    anna = service("anna", "admin")
    anna.add("phone", f"json://user:{TOKEN}@127.0.0.1:1/")
    with pytest.raises(ServiceUnavailable, match="cannot send message") as caught:
        anna.test("anna/phone")
    assert TOKEN not in str(caught.value)


def test_a_page_warns_of_links_that_only_the_server_can_follow(database: Database, tmp_path: Path) -> None:
    def warned(**variables: str) -> bool:
        settings = Settings.read({"WINSLOW_HOME": str(tmp_path), **variables})
        return NotificationService(lambda: database, settings).channels().links_work_here_only

    assert warned()
    assert not warned(WINSLOW_PUBLIC_URL="https://winslow.example")
