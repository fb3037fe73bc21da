"""What a person can do next, with everything that the action needs to succeed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from winslow_dagster.actions import Action
from winslow_dagster.projects.domain.next_steps import next_steps
from winslow_dagster.projects.domain.views import ProjectStatus, StageView


def steps(*stages: StageView, **more: Any) -> list[Action]:
    status = ProjectStatus(
        project="ulm",
        pipeline="crossing",
        pipeline_digest="d",
        pipeline_changes=(),
        reason="",
        run_id=None,
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
        created_by="anna",
        env={},
        inputs=(),
        stages=stages,
        **more,
    )
    return list(next_steps(status))


DONE = StageView(stage="detect", state="succeeded", attempts=1)
FAILED = StageView(stage="count", state="failed", attempts=1)
PENDING = StageView(stage="export", state="pending")


def test_a_stage_that_never_ran_is_not_offered_to_run_again() -> None:
    def redone(*stages: StageView) -> list[str]:
        found = steps(*stages, state="paused", actions=("resume", "redo"))
        return [action.arguments["stage"] for action in found if action.name == "redo_stage"]

    assert redone(DONE, PENDING) == ["detect"]
    assert redone(DONE, FAILED, PENDING) == ["count"]
    assert redone(PENDING) == []


def test_a_project_without_a_required_input_cannot_run_yet() -> None:
    assert [step.name for step in steps(PENDING, state="idle", actions=("run",))] == ["run_project"]
    assert steps(PENDING, state="idle", actions=("run",), missing_inputs=("video",)) == []
