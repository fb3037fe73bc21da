"""What a person does and sees in Dagit alone, through the requests that its pages make."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from installation import Installation, until

from winslow_dagster import Winslow
from winslow_dagster.errors import NotFound
from winslow_dagster.projects.domain.actor import Role

pytestmark = pytest.mark.slow

CROSSING = """
name: crossing
command: [sh, -c]
inputs:
  scores: {kind: table, suffixes: [.csv], description: One line per box.}
  hints: {kind: json, required: false}
env: {LIMIT: "1"}
stages:
  - name: detect
    args: ['cp "$WINSLOW_RESOURCE_SCORES" "$WINSLOW_OUTPUT_DIR/found.csv"; echo "WINSLOW_RESULT: limit=$LIMIT"']
  - name: second_look
    args: ['true']
    after: []
  - name: name_road
    args: ['true']
    after: [detect, second_look]
    needs_input: {when: once, message: Which road is this?, form: [{kind: text, name: road}]}
"""
FAILING = """
name: failing
command: [sh, -c]
stages:
  - {name: work, args: ['echo "FATAL no such camera"; exit 3']}
  - {name: report, args: ['true']}
"""
GATED = """
name: gated
command: [sh, -c]
stages:
  - {name: gate, args: ['until [ -e "$GATE" ]; do sleep 0.05; done']}
  - {name: behind, args: ['true']}
"""
LAUNCH = """
mutation ($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on PythonError { message }
  }
}
"""
RE_EXECUTE = LAUNCH.replace("launchRun(", "launchRunReexecution(")
FORM = """
query ($job: PipelineSelector!, $config: RunConfigData) {
  runConfigSchemaOrError(selector: $job, mode: "default") {
    ... on RunConfigSchema { rootDefaultYaml isRunConfigValid(runConfigData: $config) { __typename } }
  }
}
"""
RUN = """
query ($run: ID!) { runOrError(runId: $run) { ... on Run {
  status jobName tags { key value } runConfigYaml parentRunId rootRunId
} } }
"""
EVENTS = """
query ($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
  __typename
  ... on MessageEvent { message stepKey }
  ... on ExecutionStepFailureEvent {
    error { message stack errorChain { error { message } } }
    failureMetadata { metadataEntries { label } }
  }
  ... on RunFailureEvent { error { message stack } }
} } } }
"""


class Dagit:
    """The requests of Dagit's pages."""

    def __init__(self, installation: Installation, proof: dict[str, str] | None = None) -> None:
        self._address = installation.settings.address
        self._headers = {"Content-Type": "application/json", **(proof or installation.authorization)}

    def ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self._address}/dagit/graphql", body, self._headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer
        return answer["data"]

    def launch(self, job: str, config: dict[str, Any], **metadata: Any) -> str:
        """Launch a run of the job, and wait for its end. Returns its id."""
        parameters = {"selector": selector(job), "runConfigData": yaml.safe_dump(config), "mode": "default", **metadata}
        query, field = (RE_EXECUTE, "launchRunReexecution") if metadata else (LAUNCH, "launchRun")
        launched = self.ask(query, parameters=parameters)[field]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id: str = launched["run"]["runId"]
        return run_id

    def ended(self, job: str, config: dict[str, Any], **metadata: Any) -> str:
        """The same, and wait for the end."""
        run_id = self.launch(job, config, **metadata)
        until(lambda: self.run(run_id)["status"] in {"SUCCESS", "FAILURE", "CANCELED"}, "the run ends")
        return run_id

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(RUN, run=run_id)["runOrError"]
        return found

    def tags(self, run_id: str) -> dict[str, str]:
        return {tag["key"]: tag["value"] for tag in self.run(run_id)["tags"]}

    def events(self, run_id: str, kind: str) -> list[dict[str, Any]]:
        found = self.ask(EVENTS, run=run_id)["logsForRun"]["events"]
        return [event for event in found if event["__typename"] == kind]

    def failures(self, run_id: str) -> list[str]:
        """The reasons of the failed steps."""
        return [event["error"]["message"] for event in self.events(run_id, "ExecutionStepFailureEvent")]


def selector(job: str) -> dict[str, str]:
    return {"repositoryLocationName": "winslow", "repositoryName": "__repository__", "pipelineName": job}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    pipelines = {"crossing": CROSSING, "failing": FAILING, "gated": GATED}
    made = Installation(tmp_path_factory.mktemp("launchpad"), None, pipelines)
    made.up()
    yield made
    made.down()


@pytest.fixture(scope="module")
def dagit(installation: Installation) -> Dagit:
    return Dagit(installation)


@pytest.fixture(scope="module")
def winslow(installation: Installation) -> Iterator[Winslow]:
    with Winslow(installation.settings) as api:
        yield api


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    path = tmp_path / "scores.csv"
    path.write_text("1,20\n")
    return path


def test_the_launchpad_starts_with_what_has_to_be_filled_in(dagit: Dagit) -> None:
    form = dagit.ask(FORM, job=selector("crossing"), config="{}")["runConfigSchemaOrError"]
    assert yaml.safe_load(form["rootDefaultYaml"]) == {"project": "", "inputs": {"scores": "", "hints": ""}}
    assert form["isRunConfigValid"]["__typename"] == "PipelineConfigValidationValid"
    form = dagit.ask(FORM, job=selector("failing"), config="{}")["runConfigSchemaOrError"]
    assert yaml.safe_load(form["rootDefaultYaml"]) == {"project": ""}


def test_a_project_is_created_with_its_files_from_a_path_and_from_the_pool(
    dagit: Dagit, winslow: Winslow, scores: Path, tmp_path: Path
) -> None:
    hints = tmp_path / "hints.json"
    hints.write_text("{}")
    winslow.pool.add(hints, "friday")
    inputs = {"scores": str(scores), "hints": "pool:friday"}
    run_id = dagit.ended("crossing", {"project": "new", "inputs": inputs, "env": {"LIMIT": "7"}})
    project = winslow.context.records.project("new")
    assert (project.created_by, project.pipeline, project.env) == ("dagit", "crossing", {"LIMIT": "7"})
    stored = {each.name: each.original_path for each in winslow.context.records.inputs("new")}
    assert stored == {"scores": str(scores), "hints": "pool:friday"}
    (record,) = winslow.context.records.runs("new")
    assert (record.run_id, record.via) == (run_id, "dagit")
    assert winslow.status("new").stage("detect").results == {"limit": "7"}
    entry = next(each for each in winslow.audit("new") if each.action == "run")
    assert (entry.who, entry.details["inputs"]) == ("dagit", inputs)


def test_a_run_from_dagit_has_the_tag_of_its_project_and_says_what_it_waits_for(dagit: Dagit, scores: Path) -> None:
    run_id = dagit.ended("crossing", {"project": "tagged", "inputs": {"scores": str(scores)}})
    assert dagit.run(run_id)["status"] == "SUCCESS"
    tags = dagit.tags(run_id)
    assert tags["winslow/project"] == "tagged"
    assert tags["winslow/awaiting_input"] == "before name_road: Which road is this?"


def test_a_paused_run_says_so(dagit: Dagit, winslow: Winslow, installation: Installation, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    run_id = dagit.launch("gated", {"project": "halted", "env": {"GATE": str(gate)}})
    until(lambda: installation.stage() != [], "the gate is reached")
    winslow.project("halted").pause()
    gate.touch()
    until(lambda: dagit.run(run_id)["status"] == "SUCCESS", "the run ends")
    who = winslow.context.actor.who
    assert dagit.tags(run_id)["winslow/paused"] == f"before behind: {who} requested a pause"


def test_a_re_execution_uses_the_files_that_the_project_has_and_not_the_tags_of_the_run_before(
    dagit: Dagit, winslow: Winslow, scores: Path
) -> None:
    config = {"project": "again", "inputs": {"scores": str(scores)}}
    first = dagit.ended("crossing", config)
    scores.unlink()
    copied = [{"key": key, "value": value} for key, value in dagit.tags(first).items() if key.startswith("winslow/")]
    metadata = {"rootRunId": first, "parentRunId": first, "tags": copied}
    again = dagit.ended("crossing", config, executionMetadata=metadata, stepKeys=["detect"])
    assert dagit.run(again)["status"] == "SUCCESS"
    assert dagit.tags(again)["winslow/awaiting_input"] == f"in run {first[:8]}"
    assert [each.version for each in winslow.context.records.inputs("again")] == [1]
    detected = [each.run_id for each in winslow.context.records.attempts("again") if each.stage == "detect"]
    assert detected == [first, again]


def test_what_a_run_waited_before_goes_on_as_a_re_execution_of_the_skipped_stage(
    dagit: Dagit, winslow: Winslow, scores: Path
) -> None:
    config = {"project": "gone_on", "inputs": {"scores": str(scores)}}
    first = dagit.ended("crossing", config)
    winslow.project("gone_on").answer("name_road", {"road": "Kirchweg"}, resume=False)
    metadata = {"rootRunId": first, "parentRunId": first}
    second = dagit.ended("crossing", config, executionMetadata=metadata, stepKeys=["name_road"])
    assert dagit.run(second)["status"] == "SUCCESS"
    named = next(each for each in winslow.context.records.attempts("gone_on") if each.stage == "name_road")
    assert named.run_id == second
    assert {"detect", "second_look"} <= set(named.inputs)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"project": ""}, "no project is named"),
        ({"project": "no such/name", "inputs": {"scores": "SCORES"}}, "is not a valid project name"),
        ({"project": "refused"}, "needs the input scores"),
        ({"project": "refused", "inputs": {"scores": "scores.csv"}}, "is not an absolute path"),
        ({"project": "refused", "inputs": {"scores": "/nowhere/scores.csv"}}, "no such file"),
        ({"project": "refused", "inputs": {"scores": "pool:thursday"}}, "there is no 'thursday' in the pool"),
    ],
)
def test_a_project_that_cannot_be_created_is_refused_with_the_reason_and_nothing_is_left(
    dagit: Dagit, winslow: Winslow, scores: Path, config: dict[str, Any], reason: str
) -> None:
    text = json.dumps(config).replace("SCORES", str(scores))
    run_id = dagit.ended("crossing", json.loads(text))
    assert dagit.run(run_id)["status"] == "FAILURE"
    reasons = dagit.failures(run_id)
    assert reasons
    assert all(reason in each for each in reasons)
    with pytest.raises(NotFound):
        winslow.context.records.project("refused")


def as_person(installation: Installation, role: Role) -> Dagit:
    """Dagit in the browser of a person with this role."""
    return Dagit(installation, {**installation.cookie(role).header, "Origin": installation.settings.address})


def test_an_operator_names_no_file_of_the_server_and_a_file_of_the_pool_under_their_name(
    installation: Installation, winslow: Winslow, scores: Path
) -> None:
    dagit = as_person(installation, "operator")
    # Tags of one's own claim nothing.
    forged = {
        "executionMetadata": {
            "tags": [{"key": "winslow/person", "value": "admin"}, {"key": "winslow/role", "value": "admin"}]
        }
    }
    parameters = {
        "selector": selector("crossing"),
        "runConfigData": yaml.safe_dump({"project": "spying", "inputs": {"scores": str(scores)}}),
        "mode": "default",
        **forged,
    }
    run_id = dagit.ask(LAUNCH, parameters=parameters)["launchRun"]["run"]["runId"]
    until(lambda: dagit.run(run_id)["status"] == "FAILURE", "the run is refused")
    assert all(f"operator may not name the file {scores} of the server" in each for each in dagit.failures(run_id))
    with pytest.raises(NotFound):
        winslow.context.records.project("spying")

    winslow.pool.add(scores, "saturday")
    dagit.ended("crossing", {"project": "by-operator", "inputs": {"scores": "pool:saturday"}})
    project = winslow.context.records.project("by-operator")
    (record,) = winslow.context.records.runs("by-operator")
    assert (project.created_by, record.requested_by, record.via) == ("operator", "operator", "dagit")
    entry = next(each for each in winslow.audit("by-operator") if each.action == "run")
    assert (entry.who, entry.via) == ("operator", "dagit")


def test_an_administrator_may_name_any_file_in_dagit(
    installation: Installation, winslow: Winslow, scores: Path
) -> None:
    as_person(installation, "admin").ended("crossing", {"project": "by-admin", "inputs": {"scores": str(scores)}})
    assert winslow.context.records.project("by-admin").created_by == "admin"


def test_another_file_is_refused_where_earlier_outputs_are_to_be_used(
    dagit: Dagit, winslow: Winslow, scores: Path
) -> None:
    config = {"project": "changed", "inputs": {"scores": str(scores)}}
    dagit.ended("crossing", config)
    winslow.project("changed").answer("name_road", {"road": "Kirchweg"}, resume=False)
    scores.write_text("1,21\n")
    refused = dagit.ended("crossing", {**config, "start_from": "name_road"})
    assert "the project has a different file as scores" in dagit.failures(refused)[0]
    assert dagit.run(dagit.ended("crossing", config))["status"] == "SUCCESS"
    assert [each.version for each in winslow.context.records.inputs("changed")] == [2]


def test_a_failed_stage_shows_its_reason_and_facts_and_no_stack(dagit: Dagit) -> None:
    run_id = dagit.ended("failing", {"project": "failed"})
    (failure,) = dagit.events(run_id, "ExecutionStepFailureEvent")
    reason = failure["error"]["message"]
    assert "exit code 3" in reason
    assert "FATAL no such camera" in reason
    assert failure["error"] == {"message": reason, "stack": [], "errorChain": []}
    labels = {entry["label"] for entry in failure["failureMetadata"]["metadataEntries"]}
    assert {"console", "outcome", "exit_code"} <= labels
    (ended,) = dagit.events(run_id, "RunFailureEvent")
    assert ended["error"] in (None, {"message": reason, "stack": []})
    messages = [event["message"] for event in dagit.events(run_id, "LogMessageEvent")]
    assert "Dependencies for step report failed: ['work']. Not executing." in messages
