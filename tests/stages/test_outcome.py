"""What is said of an end. The rest of the sentences are told where they happen, in the launchers' contract."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.stages.launchers.base import ExitStatus
from winslow_dagster.stages.runner.outcome import EndFacts, Stopping, timed_out, verdict
from winslow_dagster.stages.task.model import LogFinding, LogSummary, StageTask, SubjectProgress

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ERROR = LogSummary(errors=(LogFinding(line=18_204, text="ERROR CUDA died"),), error_count=1)


def task(**fields: Any) -> StageTask:
    asked = {"log_rules": LogRules(), **fields}
    return StageTask(
        task_id="r.detect.1",
        project="ulm-07",
        pipeline="traffic",
        stage="detect",
        run_id="r",
        output_address="o",
        log_address="l",
        store_url="file:///s",
        **asked,
    )


def of(
    exit_status: ExitStatus, log: LogSummary = ERROR, asked: StageTask | None = None, **found: Any
) -> tuple[str, str]:
    return verdict(asked or task(), EndFacts(exit_status, log, **found))


def test_what_the_runner_did_itself_comes_before_what_the_program_says() -> None:
    stopping = Stopping(cause="cancelled", message="enough", at=NOW)
    assert of(ExitStatus(NOW, 0), stopping=stopping) == ("cancelled", "enough")


def test_of_several_error_lines_the_first_is_quoted() -> None:
    lines = (LogFinding(line=3, text="ERROR no such camera"), LogFinding(line=90, text="ERROR giving up"))
    assert of(ExitStatus(NOW, 3), LogSummary(errors=lines, error_count=2))[1] == (
        "exit code 3, log line 3: ERROR no such camera"
    )
    full = (*lines, LogFinding(line=99, text="ERROR No space left on device"))
    assert of(ExitStatus(NOW, 3), LogSummary(errors=full, error_count=3))[1] == (
        "the disk is full (reported by the stage): exit code 3, log line 3: ERROR no such camera"
    )


def test_out_of_memory_names_the_limit_the_exit_code_and_the_first_error() -> None:
    outcome, message = of(ExitStatus(NOW, 137, "KILL", out_of_memory=True), asked=task(memory_bytes=8 << 30))
    assert outcome == "out_of_memory"
    assert message == (
        "out of memory at 8 GiB: exit code 137, log line 18204: ERROR CUDA died; give the stage more `memory`"
    )


def test_a_program_that_survived_a_child_killed_for_memory_succeeded() -> None:
    assert of(ExitStatus(NOW, 0, out_of_memory=True), LogSummary()) == ("succeeded", "")


def test_without_an_error_line_the_last_line_is_quoted() -> None:
    last = LogFinding(line=7, text="Killed by a thing")
    assert of(ExitStatus(NOW, 2), LogSummary(), last_line=last)[1] == (
        "exit code 2; last log line (7): Killed by a thing"
    )
    assert of(ExitStatus(NOW, 2), LogSummary())[1] == "exit code 2; it printed nothing"


@pytest.mark.parametrize(("code", "meaning"), [(126, "cannot be executed"), (127, "was not found")])
def test_what_an_exit_code_means_by_convention_is_said(code: int, meaning: str) -> None:
    assert of(ExitStatus(NOW, code), LogSummary())[1] == (
        f"exit code {code}; it printed nothing; exit code {code} means that a program {meaning}: "
        "check `command`, `args` and what the image contains"
    )


def test_a_very_long_line_is_quoted_in_part() -> None:
    log = LogSummary(errors=(LogFinding(line=1, text="x" * 5000),), error_count=1)
    assert len(of(ExitStatus(NOW, 2), log)[1]) < 300


def test_a_full_disk_explains_a_failure_and_a_program_that_did_not_notice_it_has_not_succeeded() -> None:
    full = "the disk that holds /data has 0 B of 2 TiB free"
    assert of(ExitStatus(NOW, 1), LogSummary(), full_disk=full) == (
        "failed",
        f"the disk is full ({full}): exit code 1; it printed nothing",
    )
    for code in (0, 75):
        doubt = f"so the outputs and the log may be incomplete, although the exit code is {code}"
        assert of(ExitStatus(NOW, code), LogSummary(), full_disk=full) == (
            "failed",
            f"the disk was full ({full}), {doubt}; free space and redo the stage",
        )


@pytest.mark.parametrize("code", [0, 75])
def test_a_stage_that_changed_an_input_has_not_succeeded(code: int) -> None:
    changed = "the stage changed its input first"
    assert of(ExitStatus(NOW, code), LogSummary(), changed=changed) == ("failed", changed)
    assert of(ExitStatus(NOW, 3), LogSummary(), changed=changed)[1].startswith("exit code 3")


def test_a_log_without_its_end_casts_doubt_on_a_success_and_fails_where_an_error_line_would() -> None:
    gap = "its log is incomplete: it cannot be written"
    message = of(ExitStatus(NOW, 0), LogSummary(), log_problem="it cannot be written")
    assert message == ("succeeded", gap)
    strict = task(log_rules=LogRules(errors=("E",), fail_on_error_line=True))
    assert of(ExitStatus(NOW, 0), LogSummary(), strict, log_problem="gone") == (
        "failed",
        "the log may have an error line, because it is incomplete: gone",
    )
    assert of(ExitStatus(NOW, 3), ERROR, log_problem="it cannot be written")[1].endswith(f"CUDA died; {gap}")


def test_a_full_disk_is_known_by_the_stages_own_words_too() -> None:
    log = LogSummary(errors=(LogFinding(line=3, text="OSError: No space left on device"),), error_count=1)
    assert of(ExitStatus(NOW, 1), log)[1].startswith("the disk is full (reported by the stage)")
    last = LogFinding(line=9, text="cp: write error: No space left on device")
    assert of(ExitStatus(NOW, 1), LogSummary(), last_line=last)[1].startswith(
        "the disk is full (reported by the stage)"
    )


def test_a_stage_that_waits_for_a_person_says_what_for() -> None:
    assert of(ExitStatus(NOW, 75), LogSummary(awaiting_input_message="click four points")) == (
        "awaiting_input",
        "click four points",
    )
    assert of(ExitStatus(NOW, 75), LogSummary())[0] == "awaiting_input"


@pytest.mark.parametrize(
    ("code", "outcome"), [(0, "awaiting_input"), (4, "awaiting_input"), (75, "awaiting_input"), (3, "failed")]
)
def test_a_request_for_input_counts_with_every_exit_code_but_that_of_a_failure(code: int, outcome: str) -> None:
    asks = LogSummary(awaiting_input_message="click four points")
    assert of(ExitStatus(NOW, code), asks, task(success_exit_codes=(0, 4)))[0] == outcome
    assert of(ExitStatus(NOW, code), asks, task(success_exit_codes=(0, 4)), broken=["x is missing"])[0] == outcome


def test_a_request_for_input_without_a_message_counts_too() -> None:
    assert of(ExitStatus(NOW, 0), LogSummary(awaiting_input_message=""))[0] == "awaiting_input"


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        ((), "timed out after 3 h 12 m; raise `timeout` if the stage needs longer"),
        (
            (SubjectProgress(subject="frames", current=120, total=600),),
            "timed out after 3 h 12 m at frames 120/600 (20 %); raise `timeout` if the stage needs longer",
        ),
    ],
)
def test_a_time_out_says_how_far_the_stage_came(progress: tuple[SubjectProgress, ...], said: str) -> None:
    assert timed_out(11_520, LogSummary(progress=progress)) == said
