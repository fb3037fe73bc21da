"""A stage reads its secrets, its log does not show them, and nothing of them stays on the node."""

from __future__ import annotations

from pathlib import Path

import pytest
from attempts import Place

from winslow_dagster.pipelines import SecretReference
from winslow_dagster.stages.task.model import StageTask

TOKEN, KEY = "token-of-the-lab-5b1e", "a key,\nof two lines\n"
REFERENCES = {
    "TOKEN": SecretReference(secret="LAB_TOKEN"),
    "KEY": SecretReference(secret="LAB_KEY", in_env=True),
}


def with_secrets(place: Place, script: str) -> StageTask:
    task = place.task(script, env_layers=({"PLAIN": "plain"}, REFERENCES))
    place.directory(task).write_secrets({"TOKEN": TOKEN, "KEY": KEY})
    return task


def kept(folder: Path, value: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and value.encode() in path.read_bytes()]


def test_a_secret_is_a_file_and_only_where_the_stage_asks_a_variable(place: Place) -> None:
    task = with_secrets(
        place,
        'cat "$WINSLOW_SECRETS_DIR/TOKEN" "$WINSLOW_SECRETS_DIR/KEY" > "$WINSLOW_OUTPUT_DIR/files";'
        'echo "$TOKEN|$KEY|$PLAIN" > "$WINSLOW_OUTPUT_DIR/variables"',
    )
    result = place.serve(task)
    assert result.outcome == "succeeded", result.message
    assert place.text(result.outputs, "files") == TOKEN + KEY
    assert place.text(result.outputs, "variables") == f"|{KEY}|plain\n"


@pytest.mark.docker
def test_a_stage_cannot_change_its_secrets_in_a_container(docker_place: Place) -> None:
    task = with_secrets(docker_place, 'echo other > "$WINSLOW_SECRETS_DIR/TOKEN"')
    assert docker_place.serve(task).outcome == "failed"
    assert "Read-only file system" in "\n".join(docker_place.lines(task))


def test_neither_the_log_nor_the_result_shows_a_secret_and_the_node_keeps_none(place: Place) -> None:
    task = with_secrets(
        place, 'echo "WINSLOW_RESULT: token=$(cat "$WINSLOW_SECRETS_DIR/TOKEN")"; echo "ERROR $KEY"; exit 1'
    )
    result = place.serve(task)
    assert place.lines(task) == ["WINSLOW_RESULT: token=***", "ERROR a key,", "***", ""]
    assert result.log.results == {"token": "***"}
    assert kept(place.home, TOKEN) == []
    assert kept(place.home, "of two lines") == []


def test_what_a_stage_asks_and_what_its_checks_find_is_masked(process_place: Place) -> None:
    asks = with_secrets(
        process_place,
        'printf \'{"message": "Is %s right?", "form": []}\' "$(cat "$WINSLOW_SECRETS_DIR/TOKEN")"'
        ' > "$WINSLOW_OUTPUT_DIR/await_input.json"; exit 75',
    )
    result = process_place.serve(asks)
    assert (result.outcome, result.message) == ("awaiting_input", "Is *** right?")


def test_a_runner_that_takes_the_stage_over_masks_its_secrets_too(place: Place) -> None:
    task = with_secrets(
        place,
        'cd "$WINSLOW_OUTPUT_DIR"; echo > began; until test -e go; do sleep 0.05; done;'
        'cat "$WINSLOW_SECRETS_DIR/TOKEN"',
    )
    output = place.directory(task).output
    place.kill_runner_once(task, "the stage runs", (output / "began").exists)
    (output / "go").touch()
    assert place.serve(task).outcome == "succeeded"
    assert place.lines(task) == ["***"]
    assert kept(place.home, TOKEN) == []


def test_a_secret_can_be_read_by_the_user_of_the_container_but_not_by_others_on_the_node(process_place: Place) -> None:
    task = with_secrets(process_place, "true")
    secrets = process_place.directory(task).secrets
    assert secrets.parent.stat().st_mode & 0o777 == 0o700
    assert secrets.stat().st_mode & 0o777 == 0o755
    assert {file.stat().st_mode & 0o777 for file in secrets.iterdir()} == {0o644}
    assert process_place.directory(task).read_secrets() == {"TOKEN": TOKEN, "KEY": KEY}
