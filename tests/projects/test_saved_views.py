"""Saved lists of projects: one's own, and those that others share."""

from __future__ import annotations

import pytest

from winslow_dagster.errors import InputRejected, NotFound
from winslow_dagster.projects.database.annotations import Annotations
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.database.saved_views import SavedViews
from winslow_dagster.projects.domain.views import SavedView
from winslow_dagster.projects.status.filter_words import filter_words

ULM = SavedView(owner="anna", name="Ulm", filter="tag:ulm", sort="name", descending=False, group="tag", shared=True)
OWN = SavedView(owner="anna", name="Failed", filter="state:failed")


def test_a_person_sees_their_own_lists_and_those_that_others_share(records: ProjectRecords) -> None:
    views = SavedViews(records.database)
    views.save(ULM)
    views.save(OWN)
    assert views.of("anna") == (OWN, ULM)
    assert views.of("ben") == (ULM,)


def test_a_list_of_the_same_name_and_owner_is_replaced(records: ProjectRecords) -> None:
    views = SavedViews(records.database)
    views.save(ULM)
    of_ben, changed = ULM.model_copy(update={"owner": "ben"}), ULM.model_copy(update={"filter": "", "shared": False})
    views.save(of_ben)
    views.save(changed)
    assert views.of("anna") == (changed, of_ben)


def test_a_person_deletes_only_their_own_lists(records: ProjectRecords) -> None:
    views = SavedViews(records.database)
    views.save(ULM)
    with pytest.raises(NotFound, match="ben has no view 'Ulm'"):
        views.delete("ben", "Ulm")
    views.delete("anna", "Ulm")
    assert views.of("anna") == ()


@pytest.mark.parametrize("wrong", [{"name": " "}, {"name": "a" * 64}, {"filter": "a" * 2001}])
def test_a_list_without_a_name_or_too_long_is_refused(records: ProjectRecords, wrong: dict[str, str]) -> None:
    with pytest.raises(InputRejected):
        SavedViews(records.database).save(ULM.model_copy(update=wrong))


def test_the_most_used_words_come_first(records: ProjectRecords) -> None:
    for name, owner in (("a", "ben"), ("b", "anna"), ("c", "anna")):
        records.create_project(
            name, pipeline="often" if name > "a" else "once", pipeline_digest="d", env={}, created_by=owner
        )
        Annotations(records.database).set_tags(name, {"wet", "night" if name > "a" else "day"})
    words = filter_words(records.database)
    assert (words.tags, words.pipelines, words.owners) == (
        ("wet", "night", "day"),
        ("often", "once"),
        ("anna", "ben"),
    )
    assert "failed" in words.states
