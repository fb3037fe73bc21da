"""What every launcher promises, containers and processes alike."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from attempts import Place
from patience import until

from winslow_dagster.pipelines.model.stage_rules import LogRules, PromisedOutput
from winslow_dagster.stages.runner.service import SERVED_BY_ANOTHER, serve
from winslow_dagster.stages.task.model import StageTask

SPAWNS_ESCAPEES = """
trap '' TERM
sh -c 'trap "" TERM; while true; do sleep 1; done' &
(sh -c 'trap "" TERM; while true; do sleep 1; done' &) &
echo ready
while true; do sleep 1; done
"""


def test_a_stage_that_succeeds_leaves_its_outputs_and_its_log_in_the_store(place: Place) -> None:
    task = place.task(
        'mkdir "$WINSLOW_OUTPUT_DIR/deep"; echo data > "$WINSLOW_OUTPUT_DIR/deep/a.csv"; echo said; echo loud >&2'
    )
    result = place.serve(task)
    assert (result.outcome, result.exit_code, result.mode) == ("succeeded", 0, place.mode)
    assert place.text(result.outputs, "deep/a.csv") == "data\n"
    assert sorted(place.lines(task)) == ["loud", "said"]
    assert result.log_manifest is not None
    assert place.left_over(task) == []


def test_a_stage_may_write_nothing(place: Place) -> None:
    result = place.run("true")
    assert result.outcome == "succeeded"
    assert result.outputs is not None
    assert result.outputs.files == ()


def test_a_failure_says_the_exit_code_and_the_first_error_line_with_its_number(place: Place) -> None:
    task = place.task('echo fine; echo "ERROR no wheel found"; exit 3')
    result = place.serve(task)
    assert (result.outcome, result.exit_code, result.outputs) == ("failed", 3, None)
    line = place.number(task, "ERROR no wheel found")
    assert result.message == f"exit code 3, log line {line}: ERROR no wheel found"
    assert place.left_over(task) == []


def test_exit_codes_that_count_as_success_do(place: Place) -> None:
    assert place.run("exit 4", success_exit_codes=(0, 4)).outcome == "succeeded"


def test_the_agreed_exit_code_asks_for_a_person_with_the_stages_own_words(place: Place) -> None:
    result = place.run('echo "WINSLOW_AWAIT_INPUT: click four points"; exit 75')
    assert (result.outcome, result.exit_code) == ("awaiting_input", 75)
    assert result.message == "click four points"


def test_an_error_line_fails_the_stage_where_the_pipeline_says_so(place: Place) -> None:
    rules = LogRules(errors=("ERROR",), fail_on_error_line=True)
    result = place.run("echo ERROR lost the track", log_rules=rules)
    assert (result.outcome, result.exit_code) == ("failed", 0)
    assert result.message.endswith(": ERROR lost the track")


def test_a_stage_sees_what_the_contract_promises(place: Place, tmp_path: Path) -> None:
    upstream = tmp_path / "upstream"
    upstream.mkdir()
    (upstream / "tracks.csv").write_text("t\n")
    video = tmp_path / "flight 1.mp4"
    video.write_text("v\n")
    inputs = {"track": place.store.commit_tree(upstream, "projects/ulm-07/track/1/output")}
    resources = {"video": place.store.put_file(video, "projects/ulm-07/inputs/video")}
    task = place.task(
        'cd "$WINSLOW_RESOURCES_DIR"; cat "$WINSLOW_INPUT_DIR/track/tracks.csv" "video/flight 1.mp4"\n'
        'cat "$WINSLOW_RESOURCE_VIDEO"\n'
        'echo "$WINSLOW_PROJECT $WINSLOW_PIPELINE $WINSLOW_STAGE $WINSLOW_ATTEMPT $WINSLOW_TASK_ID"\n'
        'echo "$WINSLOW_CPUS $WINSLOW_MEMORY_BYTES $WINSLOW_GPU_COUNT <$CUDA_VISIBLE_DEVICES>"\n'
        'echo "$SPEED ${OUT}"',
        inputs=inputs,
        resources=resources,
        cpus=0.5,
        memory_bytes=64 << 20,
        env_layers=({"SPEED": "1", "OUT": "${WINSLOW_OUTPUT_DIR}/x"}, {"SPEED": "${SPEED}${SPEED:-0}"}),
    )
    assert place.serve(task).outcome == "succeeded"
    *contents, who, given, env = place.lines(task)
    assert contents == ["t", "v", "v"]
    assert who == f"ulm-07 traffic detect 1 {task.task_id}"
    assert given == f"0.5 {64 << 20} 0 <>"
    output = "/winslow/output" if place.image else str(place.directory(task).output)
    assert env == f"11 {output}/x"


def test_the_four_directories_are_there_without_any_input(place: Place) -> None:
    task = place.task(
        'ls "$WINSLOW_INPUT_DIR" "$WINSLOW_RESOURCES_DIR" "$WINSLOW_OUTPUT_DIR" "$WINSLOW_CHECKPOINT_DIR" && echo all'
    )
    place.serve(task)
    assert place.lines(task)[-1] == "all"


GOES_ON = """cd "$WINSLOW_CHECKPOINT_DIR"
if [ -e half ]; then echo goes on; cp half "$WINSLOW_OUTPUT_DIR/whole"; else echo begins; echo data > half; exit 3; fi
"""


def test_an_attempt_goes_on_from_what_the_one_before_it_kept(place: Place) -> None:
    first = place.task(GOES_ON)
    assert place.serve(first).outcome == "failed"
    second = place.task(GOES_ON, continues=first.task_id)
    result = place.serve(second)
    assert (result.outcome, place.lines(second)) == ("succeeded", ["goes on"])
    assert place.text(result.outputs, "whole") == "data\n"
    # What is done needs no checkpoint, and the first has handed on its own.
    assert not place.directory(first).checkpoint.exists()
    assert not place.directory(second).checkpoint.exists()


def test_an_attempt_begins_anew_where_the_one_before_it_ran_on_another_node(place: Place) -> None:
    task = place.task(GOES_ON, continues="0123456789ab.detect.1")
    assert place.serve(task).outcome == "failed"
    assert place.lines(task) == ["begins"]


def test_an_attempt_that_may_still_run_keeps_its_checkpoint(place: Place) -> None:
    first = place.task(GOES_ON)
    place.directory(first).checkpoint.mkdir()
    (place.directory(first).checkpoint / "half").write_text("data\n")
    second = place.task(GOES_ON, continues=first.task_id)
    assert place.serve(second).outcome == "failed"
    assert place.lines(second) == ["begins"]
    assert (place.directory(first).checkpoint / "half").exists()


def test_arguments_are_substituted_and_a_variable_that_is_missing_fails_before_the_start(place: Place) -> None:
    result = place.run("echo ${NOWHERE:?say where}")
    assert result.outcome == "failed"
    assert result.exit_code is None
    assert "say where" in result.message


def test_a_stage_that_takes_too_long_is_ended_with_all_that_it_started(place: Place) -> None:
    task = place.task(SPAWNS_ESCAPEES, timeout_s=1.0)
    result = place.serve(task)
    assert result.outcome == "timed_out"
    assert result.message.startswith("timed out after 1 s")
    assert place.left_over(task) == []


def test_a_stage_may_end_by_itself_within_its_grace(place: Place) -> None:
    task = place.task(
        "trap 'echo tidy; exit 0' TERM; echo ready; while true; do sleep 0.1; done", timeout_s=1, stop_grace_period_s=60
    )
    assert place.serve(task).outcome == "timed_out"
    assert "tidy" in place.lines(task)


def test_cancelling_ends_it_with_all_that_it_started_and_says_why(place: Place) -> None:
    task = place.task(SPAWNS_ESCAPEES)
    with place.running(task) as runner:
        until("it runs", lambda: place.printed(task))
        place.directory(task).request_cancel("wrong video")
        assert runner.wait() == 0
    result = place.directory(task).result()
    assert result is not None
    assert (result.outcome, result.message) == ("cancelled", "wrong video")
    assert place.left_over(task) == []


def test_what_a_stage_leaves_running_ends_with_it(place: Place) -> None:
    task = place.task("(sh -c 'trap \"\" TERM HUP; while true; do sleep 1; done' >/dev/null 2>&1 &); echo left")
    assert place.serve(task).outcome == "succeeded"
    assert place.left_over(task) == []


def test_an_attempt_cancelled_before_any_runner_served_it_never_starts(place: Place) -> None:
    task = place.task('echo ran > "$WINSLOW_OUTPUT_DIR/ran"')
    place.directory(task).request_cancel("changed my mind")
    result = place.serve(task)
    assert (result.outcome, result.mode) == ("cancelled", None)
    assert not place.directory(task).output.exists()


def test_memory_above_the_limit_is_told_from_other_ends(place: Place) -> None:
    if place.image is None and os.geteuid() != 0:
        pytest.skip("only root can make control groups here")
    hog = "head -c 400000000 /dev/zero | busybox tail" if place.image else "exec head -c 400000000 /dev/zero | tail"
    result = place.run(f"echo ERROR about to burst; {hog}; exit 9", memory_bytes=32 << 20)
    assert result.outcome == "out_of_memory"
    assert "32 MiB" in result.message
    assert ": ERROR about to burst" in result.message


def test_a_stage_starts_with_no_signal_ignored_or_blocked(place: Place) -> None:
    task = place.task("exec cat /proc/self/status")
    place.serve(task)
    # The C library keeps two signals for itself, which no program can set.
    settable = sum(1 << number - 1 for number in signal.valid_signals())
    masks = dict(line.split(":\t") for line in place.lines(task) if line.startswith(("SigIgn", "SigBlk")))
    assert {name: int(mask, 16) & settable for name, mask in masks.items()} == {"SigIgn": 0, "SigBlk": 0}


def test_an_end_by_a_signal_from_outside_is_told_as_such(place: Place) -> None:
    result = place.run("kill -9 $$$$")
    assert (result.outcome, result.exit_code) == ("lost", 137)
    assert "SIGKILL from outside" in result.message


def test_a_promised_output_that_is_not_there_is_named_with_what_is(place: Place) -> None:
    result = place.run('echo x > "$WINSLOW_OUTPUT_DIR/Tracks.csv"', outputs=(PromisedOutput(glob="tracks.csv"),))
    assert result.outcome == "failed"
    assert result.message == "the promised output tracks.csv is missing; did you mean Tracks.csv (2 B)?"
    assert result.outputs is None


def test_a_program_that_is_not_there_is_named(place: Place) -> None:
    result = place.run("", command=("detektor",), args=("--fast",))
    assert result.outcome == "failed"
    assert "detektor" in result.message


def test_a_program_that_the_stages_shell_does_not_find_is_named_and_exit_code_127_explained(place: Place) -> None:
    result = place.run("detektor --fast")
    assert (result.outcome, result.exit_code) == ("failed", 127)
    assert "detektor" in result.message
    assert "exit code 127 means that a program was not found" in result.message


def test_the_command_comes_before_the_arguments(place: Place) -> None:
    result = place.run("", command=("sh", "-c", "echo WINSLOW_RESULT: arguments=$0,$1"), args=("one", "two"))
    assert (result.outcome, result.log.results) == ("succeeded", {"arguments": "one,two"})


def test_two_runners_at_once_serve_it_once(place: Place) -> None:
    task = place.task('echo start >> "$WINSLOW_OUTPUT_DIR/starts"; sleep 1')
    with place.running(task):
        until("it is served", place.directory(task).runner_alive)
        assert serve(place.directory(task).path, place.node) == SERVED_BY_ANOTHER
        until("it has ended", place.directory(task).result)
    assert place.text(place.directory(task).result().outputs, "starts") == "start\n"


def test_an_attempt_with_a_result_never_runs_again(place: Place) -> None:
    task = place.task('echo start >> "$WINSLOW_OUTPUT_DIR/starts"')
    first = place.serve(task)
    assert place.serve(task) == first


def test_the_status_tells_phase_mode_and_log_while_it_runs(place: Place) -> None:
    task = place.task("echo 'ERROR one'; while true; do sleep 0.1; done")
    with place.running(task):
        until("the error was counted", lambda: errors(place, task))
        status = place.directory(task).status()
        assert status is not None
        assert (status.phase, status.mode, status.log.error_count) == ("running", place.mode, 1)
        place.directory(task).request_cancel("")
        until("it has ended", place.directory(task).result)


def test_a_pipeline_that_cannot_be_read_from_fails_the_attempt_and_not_its_runner(place: Place) -> None:
    result = place.run("true", log_rules=LogRules(errors=("(",)))
    assert result.outcome == "failed"
    assert "(" in result.message


def errors(place: Place, task: StageTask) -> int:
    status = place.directory(task).status()
    return status.log.error_count if status else 0
