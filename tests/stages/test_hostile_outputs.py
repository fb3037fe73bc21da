"""Outputs that are hard to handle: unreadable, nested without measure, linked in circles."""

from __future__ import annotations

import pytest
from attempts import Place

from winslow_dagster.pipelines.model.stage_rules import PromisedOutput

CLOSED = """
mkdir -p "$WINSLOW_OUTPUT_DIR/closed/deep" "$WINSLOW_CHECKPOINT_DIR/closed/deep"
echo 1 > "$WINSLOW_OUTPUT_DIR/closed/deep/f"
echo 2 > "$WINSLOW_OUTPUT_DIR/g"
echo 3 > "$WINSLOW_CHECKPOINT_DIR/closed/h"
chmod 0 "$WINSLOW_OUTPUT_DIR/closed/deep" "$WINSLOW_OUTPUT_DIR/closed" "$WINSLOW_OUTPUT_DIR/g"
chmod 0500 "$WINSLOW_CHECKPOINT_DIR/closed" "$WINSLOW_CHECKPOINT_DIR"
"""
NESTED = """
cd "$WINSLOW_OUTPUT_DIR"
level=0
while [ $level -lt {depth} ]; do mkdir d; cd d; level=$((level + 1)); done
echo deep > f
"""
CIRCLE = """
cd "$WINSLOW_OUTPUT_DIR"
echo picture > 1.jpg
ln -s . a
ln -s . b
"""


def test_directories_that_their_owner_closed_are_stored_and_removed(process_place: Place) -> None:
    promises = (PromisedOutput(glob="closed/deep/f"),)
    result = process_place.run_unprivileged(CLOSED, outputs=promises)
    assert result.outcome == "succeeded", result.message
    assert process_place.text(result.outputs, "closed/deep/f") == "1\n"
    assert process_place.text(result.outputs, "g") == "2\n"
    assert not process_place.directory(process_place.tasks[-1]).checkpoint.exists()


def test_a_checkpoint_that_its_owner_closed_is_taken_over_by_the_next_attempt(process_place: Place) -> None:
    first = process_place.run_unprivileged(f"{CLOSED} exit 1")
    assert first.outcome == "failed"
    second = process_place.run_unprivileged(
        'cat "$WINSLOW_CHECKPOINT_DIR/closed/h"; echo 4 > "$WINSLOW_CHECKPOINT_DIR/closed/h"',
        continues=process_place.tasks[-1].task_id,
    )
    assert second.outcome == "succeeded", second.message
    assert process_place.lines(process_place.tasks[-1]) == ["3"]


def test_a_checkpoint_that_the_stage_removed_itself_is_no_fault(process_place: Place) -> None:
    assert process_place.run('rmdir "$WINSLOW_CHECKPOINT_DIR"').outcome == "succeeded"


def test_outputs_that_are_nested_more_deeply_than_python_recurses_are_stored(place: Place) -> None:
    result = place.run(NESTED.format(depth=1200), outputs=(PromisedOutput(glob="**/f"),))
    assert result.outcome == "succeeded", result.message
    assert place.text(result.outputs, "d/" * 1200 + "f") == "deep\n"


def test_outputs_that_are_nested_more_deeply_than_a_path_can_say_are_an_error(place: Place) -> None:
    result = place.run(NESTED.format(depth=2200))
    assert result.outcome == "failed"
    assert "is too long" in result.message
    assert "fewer nested directories" in result.message
    assert len(result.message) < 2000


@pytest.mark.parametrize("glob", ["**/*.jpg", "**", "a/*.jpg"])
def test_links_in_a_circle_are_an_error_and_not_followed_for_ever(place: Place, glob: str) -> None:
    result = place.run(f"{CIRCLE}", outputs=(PromisedOutput(glob=glob),))
    assert result.outcome == "failed"
    assert "the symbolic link is part of a cycle" in result.message
