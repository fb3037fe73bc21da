"""Failures that somebody has taken note of wait for nobody, until the project fails again."""

from __future__ import annotations

import pytest
from house import House

from winslow_dagster.console.listing import NEEDING, Listing
from winslow_dagster.errors import ProjectConflict
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.project_filter import parse_filter
from winslow_dagster.projects.domain.views import ProjectQuery
from winslow_dagster.projects.installation import Installation
from winslow_dagster.services import Services

ULM, BONN = "ulm-07", "ulm-08"


@pytest.fixture
def front(house: House) -> Installation:
    return Installation(
        house.settings, Services(house.settings), Actor("anna"), records=house.records, store=house.store
    )


def waiting(front: Installation) -> tuple[set[str | None], int, int]:
    """Which projects wait, how many are said to, and how many wait according to the counter."""
    needs = front.needs()
    return {each.project for each in needs.needs}, needs.total, front.counters().needs_you


def listed(front: Installation) -> set[str]:
    """The projects in the list of those that need somebody."""
    query = Listing(filter=NEEDING).query()
    return {each.project for each in front.find_projects(query).projects}


def test_a_dismissed_failure_waits_for_nobody_until_it_fails_again(house: House, front: Installation) -> None:
    house.run(1, succeeds=False)
    house.run(2, succeeds=False, project=BONN)
    assert waiting(front) == ({ULM, BONN}, 2, 2)
    assert listed(front) == {ULM, BONN}

    front.project(ULM).dismiss()

    assert waiting(front) == ({BONN}, 1, 1)
    assert listed(front) == {BONN}
    noted = ProjectQuery(**parse_filter("is:noted").model_dump())
    assert [each.project for each in front.find_projects(noted).projects] == [ULM]
    assert front.counters().failed == 2
    dismissal = front.project(ULM).dismissal()
    assert dismissal is not None
    assert (dismissal.dismissed_by, dismissal.run_id) == ("anna", "run1")
    house.run(3, succeeds=False)
    assert waiting(front) == ({ULM, BONN}, 2, 2)
    assert listed(front) == {ULM, BONN}
    assert front.project(ULM).dismissal() is None


def test_it_can_be_undone_and_done_for_many(house: House, front: Installation) -> None:
    house.run(1, succeeds=False)
    house.run(2, succeeds=False, project=BONN)
    assert all(each.done for each in front.act_on([ULM, BONN], "dismiss"))
    assert waiting(front) == (set(), 0, 0)
    front.acting_as(Actor("ben")).project(ULM).dismiss()
    dismissal = front.project(ULM).dismissal()
    assert dismissal is not None
    assert dismissal.dismissed_by == "anna"
    front.project(ULM).undismiss()
    front.project(ULM).undismiss()
    assert waiting(front) == ({ULM}, 1, 1)
    assert [each.action for each in front.project(ULM).audit()] == ["undismiss", "dismiss"]


def test_only_a_failure_is_dismissed(house: House, front: Installation) -> None:
    with pytest.raises(ProjectConflict, match="has not failed"):
        front.project(ULM).dismiss()
    house.run(1)
    with pytest.raises(ProjectConflict, match="has not failed"):
        front.project(ULM).dismiss()


def test_a_deleted_project_with_a_dismissed_failure_is_counted_nowhere(house: House, front: Installation) -> None:
    house.run(1, succeeds=False)
    house.run(2, succeeds=False, project=BONN)
    front.project(ULM).dismiss()
    front.project(ULM).delete()
    assert waiting(front) == ({BONN}, 1, 1)
