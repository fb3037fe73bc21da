"""The retention rules of an installation: where they apply, what a change would do, and who may make it."""

from __future__ import annotations

import pytest
from house import House

from winslow_dagster.engines.factory import open_engine
from winslow_dagster.errors import Forbidden, InputRejected, NotFound, ProjectConflict, RetentionRulesInvalid
from winslow_dagster.pipelines.model.pipeline import RetentionRule
from winslow_dagster.projects.database.audit import Audit
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.retention.service import RetentionService

LOGS = "# as agreed\nretention:\n  - {what: logs, days: 0}\n  - {days: 0}\n"


def test_they_apply_where_no_rule_of_project_or_pipeline_does_and_their_text_is_kept(house: House) -> None:
    retention = house.retention("anna")
    house.run(1)
    house.run(2)
    assert [each.kind for each in retention.plan().removals if each.task_id == "run1.detect.1"] == [
        "leftovers",
        "outputs",
    ]
    saved = retention.set_house_rules(LOGS, version=0)
    assert (saved.text, saved.version, saved.changed_by, saved.in_file) == (LOGS, 1, "anna", False)
    assert saved.rules == (RetentionRule(what="logs", days=0), RetentionRule(days=0))
    removals = [each for each in retention.plan().removals if each.task_id == "run1.detect.1"]
    # The pipeline's own rule is about its outputs, and comes first.
    assert [(each.kind, each.reason) for each in removals] == [
        ("leftovers", "its outputs and log are in the store"),
        ("log", "older than 0 days"),
        ("outputs", "1 newer attempt"),
    ]
    assert not [each for each in retention.plan().removals if each.task_id == "run2.detect.1" and each.kind == "log"]
    retention.set_rules("ulm-07", ["{what: logs}"])
    assert not [each for each in retention.plan().removals if each.kind == "log"], "a project's rule comes first"


def test_a_preview_says_what_would_change_and_changes_nothing(house: House) -> None:
    retention = house.retention("anna")
    house.run(1)
    house.run(2)
    house.run(3)
    before = (retention.plan(), house.trees())
    found = retention.preview_house_rules(LOGS)
    assert [(each.project, each.stage, each.kind, each.reason, each.attempts) for each in found.removed] == [
        ("ulm-07", "detect", "log", "older than 0 days", 2)
    ]
    assert (found.removed_bytes, found.kept, found.kept_bytes) == (10, (), 0)
    assert (retention.plan(), house.trees()) == before
    retention.set_house_rules(LOGS, version=0)
    found = retention.preview_house_rules("retention: []\n")
    assert (found.removed, found.kept_bytes) == ((), 10)
    assert retention.plan().size_bytes == before[0].size_bytes + 10


def test_the_rules_of_one_project_are_tried_as_well(house: House) -> None:
    retention = house.retention("anna")
    house.run(1)
    house.run(2)
    before = retention.plan()
    found = retention.preview_rules("ulm-07", ["{what: logs, days: 0}", "{}"])
    assert [(each.kind, each.attempts) for each in found.removed] == [("log", 1)]
    assert [(each.kind, each.size_bytes) for each in found.kept] == [("outputs", 105)]
    assert retention.plan().removals == before.removals
    assert retention.rules("ulm-07").rules == ()
    with pytest.raises(InputRejected, match="is not a retention rule"):
        retention.preview_rules("ulm-07", ["{dayz: 3}"])
    with pytest.raises(NotFound):
        retention.preview_rules("bonn", [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("retention:\n  - {dayz: 3}\n", "retention rules:2:6: .*did you mean days"),
        ("retention:\n  - {days: -1}\n", "retention rules:2:"),
        ("retention:\n  - {attempts: 0}\n", "retention rules:2:"),
        ("retention:\n  - {glob: '/a', days: 1}\n", "retention rules:2:"),
        ("rules: []\n", "did you mean retention|has no field `rules`"),
        ("retention: [\n", "retention rules:"),
    ],
)
def test_rules_are_checked_as_those_of_a_file(house: House, text: str, problem: str) -> None:
    for act in (
        house.retention("anna").preview_house_rules,
        lambda text: house.retention("anna").set_house_rules(text, version=0),
    ):
        with pytest.raises(RetentionRulesInvalid, match=problem):
            act(text)
    assert house.retention("anna").house_rules().rules == ()


def test_of_two_who_change_them_at_once_the_second_is_told(house: House) -> None:
    house.retention("anna").set_house_rules(LOGS, version=0)
    for version in (0, 2):
        with pytest.raises(ProjectConflict, match="anna has changed this meanwhile"):
            house.retention("bruno").set_house_rules("retention: []\n", version=version)
    assert house.retention("bruno").set_house_rules("retention: []\n", version=1).version == 2
    last, first = Audit(house.records.database).entries()
    assert (first.action, first.details) == ("retention_rules", {"after": LOGS})
    assert last.details == {"before": LOGS, "after": "retention: []\n"}


def test_a_file_wins_and_is_the_only_place_where_they_change(house: House) -> None:
    retention = house.retention("anna")
    retention.set_house_rules(LOGS, version=0)
    house.settings.retention_file.write_text("retention: [{what: logs, days: 3}]  # ours\n")
    view = retention.house_rules()
    assert (view.in_file, view.text) == (True, "retention: [{what: logs, days: 3}]  # ours\n")
    assert view.rules == (RetentionRule(what="logs", days=3),)
    with pytest.raises(ProjectConflict, match="the retention rules are in a file"):
        retention.set_house_rules(LOGS, version=1)


def test_nothing_is_removed_while_the_file_has_a_fault(house: House) -> None:
    house.run(1)
    house.run(2)
    house.settings.retention_file.write_text("retention: [{dayz: 3}]\n")
    assert "did you mean days" in house.retention("anna").house_rules().fault
    before = house.trees()
    with pytest.raises(RetentionRulesInvalid, match=r"retention\.yaml:1:"):
        house.retention("anna").prune()
    assert house.trees() == before


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_administrators_change_or_try_them(house: House, role: str) -> None:
    service = RetentionService(
        house.records,
        house.store,
        house.settings,
        open_engine(house.settings),
        Actor("anna", "console", "", role),  # type: ignore[arg-type]  # one of the roles
    )
    with pytest.raises(Forbidden):
        service.set_house_rules(LOGS, version=0)
    with pytest.raises(Forbidden):
        service.preview_house_rules(LOGS)
    assert service.house_rules().rules == ()
