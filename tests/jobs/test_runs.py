"""Whole runs on real services: what a stage's end means to Dagster, and what Dagit shows of it."""

from __future__ import annotations

import base64
import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterEventType, DagsterInstance, DagsterRunStatus, EventLogRecord
from installation import Installation, until

from winslow_dagster import Winslow
from winslow_dagster.errors import StageFailed
from winslow_dagster.jobs.executor import ComputeLogFiles
from winslow_dagster.projects.commands.run import Run

pytestmark = pytest.mark.slow

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PICTURES = f"""
name: pictures
command: [sh, -c]
stages:
  - name: draw
    args: ['cd "$WINSLOW_OUTPUT_DIR"; echo "$PIXEL" | base64 -d > frame.png; printf "id,speed\\n1,48\\n" > table.csv;
            echo "frame 3/4"; echo "WINSLOW_RESULT: vehicles=12"']
    env: {{PIXEL: {base64.b64encode(PIXEL).decode()}}}
    progress: [{{subject: frames, pattern: 'frame (?P<current>\\d+)/(?P<total>\\d+)'}}]
    highlights: [{{glob: frame.png, title: First frame}}, table.csv]
"""
TRYING = """
name: trying
command: [sh, -c]
stages:
  - name: often_lost
    args: ['echo x >> "$DIARY"; if [ $(wc -l < "$DIARY") -lt 3 ]; then exit 41; fi']
    retries: {count: 3, when: [41], wait: 0.1}
  - name: never_again
    args: ['echo "ERROR: no such lane"; exit 42']
    retries: {count: 3, when: [41], wait: 0.1}
    errors: ['^ERROR']
  - name: after_it
    args: ['true']
"""
CHECKPOINTS = """
name: checkpoints
command: [sh, -c]
stages:
  - name: slow
    args: ['cd "$WINSLOW_CHECKPOINT_DIR"; echo x >> done; cp done "$WINSLOW_OUTPUT_DIR";
            [ $(wc -l < done) -ge ${ENOUGH:-3} ] || exit 41']
    retries: {count: 1, when: [41], wait: 0.1}
"""
GATED = """
name: gated
command: [sh, -c]
stages:
  - name: before
    args: ['echo "before $(date +%s%N)" > "$WINSLOW_OUTPUT_DIR/stamp"']
  - name: gate
    args: ['echo at the gate; echo oops >&2; until [ -e "$GATE" ]; do sleep 0.05; done;
            cat "$WINSLOW_INPUT_DIR/before/stamp"; exit ${EXIT:-0}']
  - name: behind
    args: ['cp "$WINSLOW_INPUT_DIR/gate"/* "$WINSLOW_OUTPUT_DIR" 2>/dev/null || true']
"""


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    pipelines = {"pictures": PICTURES, "trying": TRYING, "gated": GATED, "checkpoints": CHECKPOINTS}
    made = Installation(tmp_path_factory.mktemp("runs"), None, pipelines)
    made.up()
    yield made
    made.down()


@pytest.fixture(scope="module")
def winslow(installation: Installation) -> Iterator[Winslow]:
    with Winslow(installation.settings) as api:
        yield api


@pytest.fixture(scope="module")
def dagster(installation: Installation) -> Iterator[DagsterInstance]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in installation.environment.items():
            patch.setenv(name, value)
        patch.setenv("DAGSTER_HOME", str(installation.settings.dagster_home))
        with DagsterInstance.get() as instance:
            yield instance


def records(dagster: DagsterInstance, run: Run, kind: DagsterEventType, stage: str) -> list[EventLogRecord]:
    found = dagster.get_records_for_run(run.run_id, of_type=kind).records
    return [record for record in found if record.event_log_entry.step_key == stage]


def status(dagster: DagsterInstance, run_id: str) -> DagsterRunStatus:
    run = dagster.get_run_by_id(run_id)
    assert run is not None
    return run.status


def graphql(installation: Installation, query: str, **variables: Any) -> Any:
    request = urllib.request.Request(
        f"{installation.settings.address}/dagit/graphql",
        data=json.dumps({"query": query, "variables": variables}).encode(),
        headers={"Content-Type": "application/json", **installation.authorization},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)
    assert "errors" not in answer, answer
    return answer["data"]


RE_EXECUTE = """
mutation($parameters: {kind}!) {{
  launchRunReexecution({argument}: $parameters) {{
    __typename ... on LaunchRunSuccess {{ run {{ id }} }} ... on PythonError {{ message }}
  }}
}}
"""


def re_executed(
    installation: Installation, dagster: DagsterInstance, run_id: str, steps: list[str] | None = None
) -> str:
    """Dagit's own "Re-execute": from failure, or the selected steps. Gives the new run, which has ended."""
    if steps is None:
        query = RE_EXECUTE.format(kind="ReexecutionParams", argument="reexecutionParams")
        parameters: dict[str, Any] = {"parentRunId": run_id, "strategy": "FROM_FAILURE"}
    else:
        query = RE_EXECUTE.format(kind="ExecutionParams", argument="executionParams")
        run = dagster.get_run_by_id(run_id)
        assert run is not None
        place = {"repositoryLocationName": "winslow", "repositoryName": "__repository__", "pipelineName": run.job_name}
        parameters = {
            "selector": place,
            "runConfigData": json.dumps(run.run_config),
            "stepKeys": steps,
            "mode": "default",
            "executionMetadata": {"rootRunId": run_id, "parentRunId": run_id},
        }
    launched = graphql(installation, query, parameters=parameters)["launchRunReexecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    new: str = launched["run"]["id"]
    until(lambda: status(dagster, new) in {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE}, "the re-execution ends")
    return new


def test_a_finished_stage_is_an_asset_in_its_project_s_partition_with_what_one_wants_to_see(
    winslow: Winslow, dagster: DagsterInstance
) -> None:
    run = winslow.run("pictures", project="ulm-07")
    run.wait()
    (record,) = records(dagster, run, DagsterEventType.ASSET_MATERIALIZATION, "draw")
    shown = record.asset_materialization
    assert shown is not None
    assert shown.asset_key == AssetKey(["pictures", "draw"])
    assert shown.partition == "ulm-07"
    values = {name: entry.value for name, entry in shown.metadata.items()}
    assert values["console"] == "/projects/ulm-07/stages/draw"
    assert values["outcome"] == "succeeded"
    assert values["result/vehicles"] == 12
    assert values["progress/frames"] == "3/4"
    assert values["size_bytes"] == len(PIXEL) + len("id,speed\n1,48\n")
    assert base64.b64encode(PIXEL).decode() in values["preview/First frame (frame.png)"]
    assert values["preview/table.csv"] == "| id | speed |\n|---|---|\n| 1 | 48 |"
    assert Path(values["outputs"]).joinpath("frame.png").read_bytes() == PIXEL


def test_a_stage_is_tried_again_only_after_the_ends_its_retries_name(
    winslow: Winslow, dagster: DagsterInstance, tmp_path: Path
) -> None:
    diary = tmp_path / "diary"
    run = winslow.run("trying", project="tries", env={"DIARY": str(diary)})
    with pytest.raises(StageFailed, match=r"exit code 42, log line \d+: ERROR: no such lane"):
        run.wait()
    assert diary.read_text() == "x\n" * 3
    assert len(records(dagster, run, DagsterEventType.STEP_UP_FOR_RETRY, "often_lost")) == 2
    assert len(records(dagster, run, DagsterEventType.STEP_SUCCESS, "often_lost")) == 1
    assert records(dagster, run, DagsterEventType.STEP_UP_FOR_RETRY, "never_again") == []
    (failure,) = records(dagster, run, DagsterEventType.STEP_FAILURE, "never_again")
    error = failure.event_log_entry.get_dagster_event().step_failure_data.error
    assert error is not None
    assert "exit code 42" in error.message
    assert "no such lane" in error.message
    assert status(dagster, run.run_id) is DagsterRunStatus.FAILURE


def test_a_retry_and_a_resume_go_on_from_the_checkpoint_and_a_redo_begins_anew(winslow: Winslow) -> None:
    run = winslow.run("checkpoints", project="kept")
    with pytest.raises(StageFailed, match="exit code 41"):
        run.wait()
    winslow.project("kept").resume().wait()
    assert done(winslow) == "x\n" * 3
    # Its attempt before was done, and left nothing.
    again = winslow.project("kept").redo("slow")
    with pytest.raises(StageFailed, match="exit code 41"):
        again.wait()
    # What was kept under other settings is of no use.
    winslow.project("kept").redo("slow", env={"ENOUGH": "1"}).wait()
    assert done(winslow) == "x\n"


def done(winslow: Winslow) -> str:
    (file,) = winslow.project("kept").files("slow")
    assert file.local_path is not None
    return file.local_path.read_text()


def test_the_log_of_a_stage_is_in_dagit_while_it_runs(
    winslow: Winslow, dagster: DagsterInstance, tmp_path: Path
) -> None:
    run = winslow.run("gated", project="watched", env={"GATE": str(tmp_path / "gate")})
    shown = ComputeLogFiles.of(dagster, run.run_id, "gate")
    until(lambda: shown.out.exists() and "at the gate" in shown.out.read_text(), "stdout is shown")
    until(lambda: shown.err.exists() and "oops" in shown.err.read_text(), "stderr is shown")
    assert not shown.complete.exists()
    (tmp_path / "gate").touch()
    run.wait()
    assert shown.complete.exists()
    assert "before" in shown.out.read_text()


def test_a_cancelled_run_leaves_nothing_running(
    installation: Installation, winslow: Winslow, dagster: DagsterInstance, tmp_path: Path
) -> None:
    run = winslow.run("gated", project="cancelled", env={"GATE": str(tmp_path / "never")})
    until(lambda: installation.stage() != [], "the gate is reached")
    dagster.run_launcher.terminate(run.run_id)
    until(lambda: status(dagster, run.run_id) is DagsterRunStatus.CANCELED, "the run is cancelled")
    assert installation.stage() == []
    until(lambda: installation.run_worker() == [], "the worker ends")
    assert records(dagster, run, DagsterEventType.STEP_START, "behind") == []


def test_a_run_is_cancelled_while_its_worker_starts(
    installation: Installation, winslow: Winslow, dagster: DagsterInstance, tmp_path: Path
) -> None:
    (server,) = installation.service("worker-fork-server")
    os.kill(server, signal.SIGSTOP)
    try:
        run = winslow.run("gated", project="early", env={"GATE": str(tmp_path / "never")})
        until(lambda: status(dagster, run.run_id) is DagsterRunStatus.STARTING, "the worker is being started")
        with ThreadPoolExecutor(1) as pool:
            cancelled = pool.submit(run.cancel)
            # Dagster refuses as long as the worker starts.
            assert not cancelled.done()
            os.kill(server, signal.SIGCONT)
            cancelled.result()
    finally:
        os.kill(server, signal.SIGCONT)
    until(lambda: status(dagster, run.run_id) is DagsterRunStatus.CANCELED, "the run is cancelled")
    until(lambda: installation.stage() == [] and installation.run_worker() == [], "nothing is left running")


def test_a_run_whose_worker_is_dead_is_cancelled_with_its_stages(
    installation: Installation, winslow: Winslow, dagster: DagsterInstance, tmp_path: Path
) -> None:
    run = winslow.run("gated", project="orphaned", env={"GATE": str(tmp_path / "never")})
    until(lambda: installation.stage() != [], "the gate is reached")
    os.kill(installation.run_worker()[0], 9)
    until(lambda: installation.run_worker() == [], "the worker is dead")
    dagster.run_launcher.terminate(run.run_id)
    until(lambda: installation.stage() == [], "the stage is gone")
    until(lambda: status(dagster, run.run_id) is DagsterRunStatus.CANCELED, "the run is cancelled")


def test_dagit_s_re_execution_from_failure_goes_on_from_what_the_failed_run_made(
    installation: Installation, winslow: Winslow, dagster: DagsterInstance, tmp_path: Path
) -> None:
    (tmp_path / "gate").touch()
    run = winslow.run("gated", project="again", env={"GATE": str(tmp_path / "gate"), "EXIT": "${CODE:-3}"})
    with pytest.raises(StageFailed, match="exit code 3"):
        run.wait()
    assert status(dagster, run.run_id) is DagsterRunStatus.FAILURE
    again = re_executed(installation, dagster, run.run_id)
    stages = {attempt.stage: attempt.run_id for attempt in winslow.context.records.attempts("again")}
    assert stages["before"] == run.run_id
    assert stages["gate"] == again


def test_dagit_s_re_execution_of_selected_steps_takes_inputs_from_their_true_producers(
    installation: Installation, winslow: Winslow, dagster: DagsterInstance, tmp_path: Path
) -> None:
    (tmp_path / "gate").touch()
    run = winslow.run("gated", project="chain", env={"GATE": str(tmp_path / "gate")})
    run.wait()
    second = re_executed(installation, dagster, run.run_id, ["gate"])
    third = re_executed(installation, dagster, second, ["gate", "behind"])
    assert status(dagster, third) is DagsterRunStatus.SUCCESS
    attempts = winslow.context.records.attempts("chain")
    assert [attempt.run_id for attempt in attempts if attempt.stage == "before"] == [run.run_id]
    assert [attempt.run_id for attempt in attempts if attempt.stage == "gate"] == [run.run_id, second, third]


def test_an_edit_of_the_pipeline_file_does_not_reach_a_run_that_has_begun(
    installation: Installation, winslow: Winslow, dagster: DagsterInstance, tmp_path: Path
) -> None:
    run = winslow.run("gated", project="edited", env={"GATE": str(tmp_path / "gate")})
    until(lambda: installation.stage() != [], "the gate is reached")
    path = installation.settings.pipelines_dir / "gated.yaml"
    text = path.read_text()
    path.write_text("name: gated\ncommand: [sh, -c]\nstages:\n  - {name: other, args: ['true']}\n")
    try:
        os.kill(installation.run_worker()[0], 9)
        (tmp_path / "gate").touch()
        until(lambda: status(dagster, run.run_id) is DagsterRunStatus.SUCCESS, "another worker ends the run")
    finally:
        path.write_text(text)
    assert len(records(dagster, run, DagsterEventType.STEP_SUCCESS, "behind")) == 1
