"""Quotas: what would pass one is refused, and what has passed one is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from house import House

from winslow_dagster.engines.memory import InMemoryEngine
from winslow_dagster.errors import (
    AmountMalformed,
    DiskFull,
    Forbidden,
    InputRejected,
    NotFound,
    ProjectConflict,
    QuotaExceeded,
    QuotasInvalid,
)
from winslow_dagster.projects.commands import disk_room
from winslow_dagster.projects.commands.diagnosis import overrun_quotas
from winslow_dagster.projects.commands.disk_room import require_disk
from winslow_dagster.projects.database.quotas import Quotas
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.notifications import Subscription
from winslow_dagster.projects.installation import Installation
from winslow_dagster.sensors.disk import tell_of_quotas
from winslow_dagster.services import Services

ULM = "ulm-07"
KIB = 1024


@pytest.fixture
def front(house: House) -> Installation:
    services = Services(house.settings)
    return Installation(
        house.settings, services, Actor("anna"), records=house.records, store=house.store, engine=InMemoryEngine()
    )


def file_of(house: House, size_bytes: int) -> Path:
    path = house.settings.home / f"{size_bytes}.bin"
    path.write_bytes(b"f" * size_bytes)
    return path


def test_what_would_pass_the_quota_of_an_owner_is_refused_before_it_is_stored(
    house: House, front: Installation
) -> None:
    front.pool.add(file_of(house, 3 * KIB), "three")
    front.quotas.set("owner", "anna", "4KiB")
    with pytest.raises(QuotaExceeded, match=r"owner anna .*: 3 KiB of 4 KiB are used, and this brings 2 KiB more"):
        front.pool.add(file_of(house, 2 * KIB), "two")
    with pytest.raises(QuotaExceeded, match="this brings 2 KiB more"):
        front.uploads.begin("two.bin", 2 * KIB)
    front.uploads.begin("one.bin", KIB)
    with pytest.raises(QuotaExceeded, match="4 KiB of 4 KiB are used"):
        front.uploads.begin("more.bin", 1)
    assert front.acting_as(Actor("ben")).uploads.begin("bens.bin", 2 * KIB).owner == "ben"
    with pytest.raises(QuotaExceeded, match="4 KiB of 4 KiB are used"):
        front.create("traffic", "new")
    assert front.acting_as(Actor("ben")).create("traffic", "bens").name == "bens"
    front.quotas.clear("owner", "anna")
    front.pool.add(file_of(house, 2 * KIB), "two")


def test_a_project_that_has_used_its_quota_is_neither_run_nor_swept(house: House, front: Installation) -> None:
    house.run(1)
    front.quotas.set("project", ULM, 100)
    for start in (
        lambda: Quotas(house.records.database, house.settings.quotas_file).require_room(ULM, "anna", 0),
        lambda: Quotas(house.records.database, house.settings.quotas_file).require_room(ULM, "anna", 7),
    ):
        with pytest.raises(QuotaExceeded, match=f"quota of project {ULM} does not suffice: 1[0-9]+ B of 100 B"):
            start()
    front.quotas.set("project", ULM, 4 * KIB)
    Quotas(house.records.database, house.settings.quotas_file).require_room(ULM, "anna", 7)


def test_the_quota_of_all_is_for_those_without_one_of_their_own(house: House, front: Installation) -> None:
    house.run(1)
    front.quotas.set("project", "*", 130)
    overview = front.quotas.overview()
    assert [(use.name, use.current_state) for use in overview.uses] == [(ULM, "near")]
    front.quotas.set("project", "*", 100)
    assert [(use.name, use.current_state) for use in front.quotas.overview().uses] == [(ULM, "over")]
    front.quotas.set("project", ULM, "1GiB")
    (use,) = front.quotas.overview().uses
    assert (use.name, use.limit_bytes, use.current_state) == (ULM, 1 << 30, "ok")
    assert front.quotas.own() is None
    assert [(each.kind, each.name) for each in front.quotas.overview().quotas] == [("project", "*"), ("project", ULM)]


def test_only_administrators_set_quotas_and_what_is_none_is_refused(front: Installation) -> None:
    operator = front.acting_as(Actor("ben", role="operator"))
    for act in (lambda: operator.quotas.set("owner", "ben", 1), lambda: operator.quotas.clear("owner", "ben")):
        with pytest.raises(Forbidden):
            act()
    with pytest.raises(NotFound):
        front.quotas.set("project", "nothing-like-it", 1)
    with pytest.raises(NotFound, match="no quota of its own"):
        front.quotas.clear("owner", "ben")
    with pytest.raises(InputRejected, match="a quota of 0 bytes"):
        front.quotas.set("owner", "ben", 0)
    with pytest.raises(AmountMalformed):
        front.quotas.set("owner", "ben", "much")
    with pytest.raises(InputRejected, match="is not a name"):
        front.quotas.set("owner", "", 1)


def test_a_run_whose_usual_outputs_do_not_fit_on_the_disk_is_refused(
    house: House, front: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.run(1)
    require_disk(front.context, "traffic", ["detect", "never-ran"], 10)
    monkeypatch.setattr(disk_room, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(DiskFull, match="10 B of new inputs and about 115 B of outputs do not fit"):
        require_disk(front.context, "traffic", ["detect", "never-ran"], 10)
    require_disk(front.context, "traffic", ["never-ran"], 0)


def test_a_file_of_quotas_wins_and_is_checked_like_every_other(house: House, front: Installation) -> None:
    house.run(1)
    front.quotas.set("project", "*", 1)
    file = house.settings.quotas_file
    file.write_text("projects: {ulm-07: 4KiB, '*': 1TiB}\nowners:\n  anna: 3 KiB\n")
    found = front.quotas.overview()
    assert found.in_file
    assert [(each.kind, each.name, each.limit_bytes, each.set_by) for each in found.quotas] == [
        ("project", "*", 1 << 40, "quotas.yaml"),
        ("project", ULM, 4 * KIB, "quotas.yaml"),
        ("owner", "anna", 3 * KIB, "quotas.yaml"),
    ]
    with pytest.raises(QuotaExceeded, match=r"owner anna .* this brings 4 KiB more"):
        front.uploads.begin("four.bin", 4 * KIB)
    for change in (lambda: front.quotas.set("owner", "anna", "1TiB"), lambda: front.quotas.clear("project", "*")):
        with pytest.raises(ProjectConflict, match="the quotas are in a file"):
            change()
    file.write_text("projects: {ulm-07: much}\nowner: {anna: 1}\n")
    for use in (lambda: front.uploads.begin("one.bin", 1), lambda: front.create("traffic", "new")):
        with pytest.raises(QuotasInvalid, match="much") as raised:
            use()
        assert [(each.line, "owner" in each.what) for each in raised.value.problems] == [(1, False), (2, True)]
    assert "much" in front.quotas.overview().fault
    assert front.quotas.own() is None
    assert [each.detail for each in overrun_quotas(front.context)] == [front.quotas.overview().fault]
    file.unlink()
    assert [each.name for each in front.quotas.overview().quotas] == ["*"], "what was set before holds again"


def test_who_is_near_a_quota_is_told_once_a_week_and_again_when_it_is_used_up(
    house: House, front: Installation
) -> None:
    house.run(1)
    (size_bytes,) = (each.size_bytes for each in front.space.summary().projects if each.project == ULM)
    front.quotas.set("project", ULM, size_bytes * 10 // 9)
    for channels in (front.notifications, front.acting_as(Actor("ben")).notifications):
        channels.add("mine", "json://mail.example", (Subscription(events=("quota_near",)),), own=True)
    front.notifications.add("team", "json://mail.example", (Subscription(events=("quota_near", "failed")),), own=False)
    now = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday

    def told(at: datetime) -> int:
        return tell_of_quotas(house.settings, house.records, at)

    # Anna, whose project it is, and the channel of all.
    assert [told(now), told(now + timedelta(days=6)), told(now + timedelta(days=7))] == [2, 0, 2]
    front.quotas.set("project", ULM, size_bytes)
    assert told(now + timedelta(days=8)) == 2
    titles = [each.title for each in front.notifications.messages(50).messages]
    assert set(titles) == {f"The quota of project {ULM} is nearly used up", f"The quota of project {ULM} is used up"}
