"""The verdict on an attempt is made from its complete log, also from a last line without a line feed."""

from __future__ import annotations

import pytest
from attempts import Place

from winslow_dagster.pipelines.model.stage_rules import LogRules, ProgressRule

ERRORS = LogRules(errors=("^ERROR",), fail_on_error_line=True)


def test_an_unfinished_last_line_is_quoted(place: Place) -> None:
    task = place.task('echo fine; printf "FATAL no such camera" >&2; exit 1')
    result = place.serve(task)
    line = place.number(task, "FATAL no such camera")
    assert result.message == f"exit code 1; last log line ({line}): FATAL no such camera"


def test_an_unfinished_error_line_fails_the_stage_where_the_pipeline_says_so(place: Place) -> None:
    task = place.task('printf "ERROR lost the track" >&2', log_rules=ERRORS)
    result = place.serve(task)
    assert (result.outcome, result.log.error_count) == ("failed", 1)
    line = place.number(task, "ERROR lost the track")
    assert result.message.endswith(f", log line {line}: ERROR lost the track")


def test_an_unfinished_request_for_input_is_heard(place: Place) -> None:
    result = place.run('printf "WINSLOW_AWAIT_INPUT: click four points"; exit 75')
    assert (result.outcome, result.message) == ("awaiting_input", "click four points")


def test_an_unfinished_result_counts(place: Place) -> None:
    assert place.run('printf "WINSLOW_RESULT: vehicles=42"').log.results == {"vehicles": "42"}


def test_a_signal_from_outside_does_not_hide_the_unfinished_last_line(place: Place) -> None:
    task = place.task('printf "loading the model"; kill -9 $$$$')
    result = place.serve(task)
    assert result.outcome == "lost"
    assert f"; last log line ({place.number(task, 'loading the model')}): loading the model" in result.message


def test_a_time_out_tells_how_far_an_unfinished_last_line_came(place: Place) -> None:
    rules = LogRules(progress=(ProgressRule(subject="frames", pattern=r"(?P<current>\d+)/(?P<total>\d+)"),))
    result = place.run('printf "7/9"; while true; do sleep 0.1; done', log_rules=rules, timeout_s=1.0)
    assert result.outcome == "timed_out"
    assert result.message.startswith("timed out after 1 s at frames 7/9 (78 %); last log line (")
    assert "): 7/9; raise `timeout`" in result.message


@pytest.mark.parametrize("blank_lines", [0, 3, 500])
def test_blank_lines_at_the_end_do_not_hide_the_last_words(place: Place, blank_lines: int) -> None:
    result = place.run(f"echo out of paper; seq {blank_lines} | tr -d 0-9; exit 4")
    assert result.message.endswith("): out of paper")


def test_a_last_line_with_a_nul_is_quoted_as_every_database_accepts_it(place: Place) -> None:
    result = place.run('printf "FATAL \\\\000 no such camera" >&2; exit 1')
    assert result.message.endswith("FATAL \ufffd no such camera")
