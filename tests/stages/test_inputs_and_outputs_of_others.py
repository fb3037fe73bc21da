"""A stage changes neither the outputs of an earlier stage nor files of others, and others cannot change its outputs."""

from __future__ import annotations

import stat
from pathlib import Path

from attempts import Place

from winslow_dagster.storage.manifest import Manifest

FIRST = 'echo one > "$WINSLOW_OUTPUT_DIR/out.txt"'
APPENDS = 'echo two >> "$WINSLOW_INPUT_DIR/first/out.txt"'
OVERRIDES = f'chmod u+w "$WINSLOW_INPUT_DIR/first/out.txt" && {APPENDS}'
READS = 'cat "$WINSLOW_INPUT_DIR/first/out.txt"'


def outputs_of_first(place: Place) -> Manifest:
    result = place.run(FIRST, stage="first")
    assert result.outputs is not None
    return result.outputs


def test_a_stage_cannot_write_into_its_input(place: Place) -> None:
    outputs = outputs_of_first(place)
    result = place.run(f"{APPENDS} || exit 9", inputs={"first": outputs})
    assert (result.outcome, result.exit_code) == ("failed", 9)
    assert place.text(outputs, "out.txt") == "one\n"
    reader = place.task(READS, inputs={"first": outputs})
    assert place.serve(reader).outcome == "succeeded"
    assert place.lines(reader) == ["one"]


def test_what_an_ordinary_process_overrides_is_found_out_before_the_next_stage_reads_it(process_place: Place) -> None:
    outputs = outputs_of_first(process_place)
    result = process_place.run_unprivileged(OVERRIDES, inputs={"first": outputs})
    assert (result.outcome, result.exit_code, result.outputs) == ("failed", 0, None)
    assert result.message.startswith("the stage changed its input first, which it must only read: ")
    assert "out.txt: the content differs from what was committed" in result.message
    reader = process_place.run(READS, inputs={"first": outputs})
    assert reader.outcome == "failed"
    assert "the content differs from what was committed" in reader.message
    assert "run the stage again" in reader.message


def test_a_changed_input_is_said_of_a_stage_that_failed_anyway(process_place: Place) -> None:
    outputs = outputs_of_first(process_place)
    task = process_place.task(f"{OVERRIDES}; exit 3", inputs={"first": outputs})
    assert process_place.start_runner(task, privileged=False).wait() == 0
    assert "the stage changed its input first" in process_place.runner_lines(task)


def test_a_file_of_somebody_else_that_is_linked_into_the_outputs_stays_as_it_is(
    process_place: Place, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    mine.chmod(0o640)
    result = process_place.run('ln "$MINE" "$WINSLOW_OUTPUT_DIR/f"', env_layers=({"MINE": str(mine)},))
    assert result.outcome == "succeeded"
    assert stat.S_IMODE(mine.stat().st_mode) == 0o640
    mine.write_text("edited")
    assert process_place.text(result.outputs, "f") == "mine"


def test_the_log_in_the_store_is_a_copy(place: Place) -> None:
    task = place.task("echo said")
    result = place.serve(task)
    assert result.log_manifest is not None
    stored = place.store.read_only_path(result.log_manifest)
    assert stored is not None
    for entry in result.log_manifest.files:
        assert not (stored / entry.path).samefile(place.directory(task).log / entry.path)
