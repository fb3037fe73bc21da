"""What viewers, operators and administrators may do in Dagster's web interface."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from dagster_graphql.schema import create_schema
from installation import free_port, until
from websockets.sync.client import connect

PROGRAMS = Path(__file__).with_name("programs")
LOCATION = "workspace_of_everything.py"
REPOSITORY = f'{{repositoryName: "__repository__", repositoryLocationName: "{LOCATION}"}}'


mutations = create_schema().graphql_schema.mutation_type
assert mutations is not None
FIELDS = mutations.fields


def named(kind: str, name: str) -> str:
    return f'{{{kind}: "{name}", {REPOSITORY[1:]}'


WORK = f"{{selector: {named('pipelineName', 'work')}, runConfigData: {{}}}}"
CROSSROADS = f'partitionsDefName: "crossroads", repositorySelector: {REPOSITORY}'
PARTITIONS = f'{{partitionSetName: "each_crossroads_partition_set", repositorySelector: {REPOSITORY}}}'
BACKFILL = f'{{selector: {PARTITIONS}, partitionNames: ["ulm"]}}'
ASSET_EVENT = 'eventType: ASSET_MATERIALIZATION, assetKey: {path: ["table"]}, partitionKeys: ["ulm"]'
SENSOR, SCHEDULE = named("sensorName", "watch"), named("scheduleName", "yearly")
COMPONENT = f'locationName: "{LOCATION}", componentId: "a"'

MUTATIONS = {
    "launchPipelineExecution": f"executionParams: {WORK}",
    "launchRun": f"executionParams: {WORK}",
    "launchMultipleRuns": f"executionParamsList: [{WORK}]",
    "launchPipelineReexecution": 'reexecutionParams: {parentRunId: "RUN", strategy: ALL_STEPS}',
    "launchRunReexecution": 'reexecutionParams: {parentRunId: "RUN", strategy: ALL_STEPS}',
    "stopRunningSchedule": 'id: "SCHEDULE"',
    "startSchedule": f"scheduleSelector: {SCHEDULE}",
    "resetSchedule": f"scheduleSelector: {SCHEDULE}",
    "stopSensor": 'id: "SENSOR"',
    "startSensor": f"sensorSelector: {SENSOR}",
    "setSensorCursor": f'sensorSelector: {SENSOR}, cursor: "NEW"',
    "resetSensor": f"sensorSelector: {SENSOR}",
    "sensorDryRun": f"selectorData: {SENSOR}, cursor: null",
    "scheduleDryRun": f"selectorData: {SCHEDULE}, timestamp: 1",
    "launchPartitionBackfill": f"backfillParams: {BACKFILL}",
    "resumePartitionBackfill": 'backfillId: "BACKFILL"',
    "cancelPartitionBackfill": 'backfillId: "BACKFILL"',
    "reexecutePartitionBackfill": 'reexecutionParams: {parentRunId: "BACKFILL", strategy: ALL_STEPS}',
    "reportRunlessAssetEvents": f"eventParams: {{{ASSET_EVENT}}}",
    "reportAssetCheckEvaluations": 'eventParams: {assetKey: {path: ["table"]}, checkName: "complete", passed: true}',
    "wipeAssets": 'assetPartitionRanges: [{assetKey: {path: ["table"]}}]',
    "addDynamicPartition": f'{CROSSROADS}, partitionKey: "NEW"',
    "deleteDynamicPartitions": f'{CROSSROADS}, partitionKeys: ["ulm"]',
    "setAutoMaterializePaused": "paused: PAUSED",
    "setConcurrencyLimit": 'concurrencyKey: "NEW", limit: 3',
    "deleteConcurrencyLimit": 'concurrencyKey: "limited"',
    "freeConcurrencySlotsForRun": 'runId: "RUN"',
    "freeConcurrencySlots": 'runId: "RUN"',
    "terminatePipelineExecution": 'runId: "RUN"',
    "terminateRun": 'runId: "RUN"',
    "terminateRuns": 'runIds: ["RUN"]',
    "deletePipelineRun": 'runId: "RUN"',
    "deleteRun": 'runId: "RUN"',
    "setNuxSeen": "",
    "logTelemetry": 'action: "a", clientId: "b", clientTime: "1", metadata: "{}"',
    "setAppManagedComponent": f'{COMPONENT}, componentType: "b", attributes: "{{}}"',
    "deleteAppManagedComponent": COMPONENT,
    "refreshComponentState": f'locationName: "{LOCATION}", defsStateKey: "a"',
    "reloadRepositoryLocation": f'repositoryLocationName: "{LOCATION}"',
    "reloadWorkspace": "",
    "shutdownRepositoryLocation": f'repositoryLocationName: "{LOCATION}"',
}
"""Every mutation with arguments by which it changes something. RUN and so on stand for what is there."""
RUNNING = ("startSensor", "startSchedule")
OF_OPERATORS = {
    *("launchPipelineExecution", "launchRun", "launchMultipleRuns", "launchPipelineReexecution"),
    *("launchRunReexecution", "terminatePipelineExecution", "terminateRun", "terminateRuns"),
}
HARMLESS = {"setNuxSeen", "logTelemetry"}
"""Dagster asks for no permission. They change nothing that belongs to anybody."""
LEAVE_NO_TRACE = {
    *("sensorDryRun", "scheduleDryRun", "logTelemetry", "setAppManagedComponent", "deleteAppManagedComponent"),
    *("refreshComponentState", "reloadRepositoryLocation", "reloadWorkspace", "shutdownRepositoryLocation"),
    *("freeConcurrencySlotsForRun", "freeConcurrencySlots", "setNuxSeen"),
    *("resumePartitionBackfill", "reexecutePartitionBackfill"),
}
"""Mutations that change nothing in the database here, even for administrators."""
REPORTS = {
    "report_asset_materialization/table": {"partition": "ulm"},
    "report_asset_observation/table": {"partition": "ulm"},
    "report_asset_check/table": {"check_name": "complete", "passed": True},
}


@dataclass(frozen=True)
class Dagit:
    """A server without a daemon, so that nothing changes by itself."""

    home: Path
    port: int

    def send(self, role: str, path: str, body: Any = None, name: str = "ulla") -> tuple[int, bytes]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Name": name, "X-Role": role} | ({} if body is None else {"Content-Type": "application/json"}),
        )
        try:
            with urllib.request.urlopen(request) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def ask(self, role: str, query: str) -> tuple[int, Any]:
        status, text = self.send(role, "graphql", {"query": query})
        return status, json.loads(text)

    def mutate(self, role: str, field: str) -> tuple[int, Any]:
        """Send the mutation with arguments for what is there now."""
        return self.ask(role, f"mutation {{ {self.call(field)} }}")

    def call(self, field: str) -> str:
        here = self.what_is_there()
        arguments = re.sub("|".join(here), lambda found: here[found[0]], MUTATIONS[field])
        kind = FIELDS[field].type.of_type
        return f"{field}{f'({arguments})' if arguments else ''}" + ("" if str(kind) == "Boolean" else " { __typename }")

    def what_is_there(self) -> dict[str, str]:
        _, answer = self.ask(
            "viewer",
            f"{{ runsOrError {{ ... on Runs {{ results {{ runId }} }} }} "
            f"partitionBackfillsOrError {{ ... on PartitionBackfills {{ results {{ id }} }} }} "
            f"sensorOrError(sensorSelector: {SENSOR}) {{ ... on Sensor {{ id }} }} "
            f"scheduleOrError(scheduleSelector: {SCHEDULE}) {{ ... on Schedule {{ id }} }} "
            f"instance {{ autoMaterializePaused }} }}",
        )
        data = answer["data"]
        return {
            "RUN": next((run["runId"] for run in data["runsOrError"]["results"]), ""),
            "BACKFILL": next((each["id"] for each in data["partitionBackfillsOrError"]["results"]), ""),
            "SENSOR": data["sensorOrError"]["id"],
            "SCHEDULE": data["scheduleOrError"]["id"],
            "PAUSED": json.dumps(not data["instance"]["autoMaterializePaused"]),
            "NEW": self.fingerprint()[:8],
        }

    def fingerprint(self) -> str:
        """Equal as long as no row of a database and no file has changed."""
        digest = sha256()
        for path in sorted(self.home.rglob("*")):
            if path.suffix == ".db":
                with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
                    digest.update("\n".join(database.iterdump()).encode())
                database.close()
            elif path.is_file() and not path.name.endswith(("-wal", "-shm", ".log")):
                digest.update(str(path).encode() + path.read_bytes())
        return digest.hexdigest()


@pytest.fixture(scope="module")
def dagit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dagit]:
    home = tmp_path_factory.mktemp("dagit") / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (home / "workspace.yaml").write_text(
        f"load_from:\n  - python_file: {{relative_path: {PROGRAMS / LOCATION}, location_name: {LOCATION}}}\n"
    )
    served = Dagit(home, free_port())
    log = home.parent / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / "dagit_with_roles.py"), str(home / "workspace.yaml"), str(served.port)],
            env={**os.environ, "DAGSTER_HOME": str(home)},
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: answers(served) or process.poll() is not None, "the server answers")
        assert process.poll() is None, log.read_text()
        for field in (
            "launchRun",
            "launchPartitionBackfill",
            "startSensor",
            "startSchedule",
            "reportRunlessAssetEvents",
        ):
            assert succeeded(served.mutate("admin", field)), field
        assert succeeded(served.ask("admin", 'mutation { setConcurrencyLimit(concurrencyKey: "limited", limit: 1) }'))
        partition = f'addDynamicPartition({CROSSROADS}, partitionKey: "ulm")'
        assert succeeded(served.ask("admin", f"mutation {{ {partition} {{ __typename }} }}"))
        yield served
    finally:
        process.terminate()
        process.wait()


def answers(served: Dagit) -> bool:
    try:
        status, answer = served.ask("viewer", "{ workspaceOrError { ... on Workspace { locationEntries { name } } } }")
    except OSError:
        return False
    return status == 200 and bool(answer["data"]["workspaceOrError"]["locationEntries"])


def succeeded(answered: tuple[int, Any]) -> bool:
    status, answer = answered
    kinds = [each["__typename"] for each in (answer.get("data") or {}).values() if isinstance(each, dict)]
    return status == 200 and not answer.get("errors") and not any("Error" in kind for kind in kinds)


def test_every_mutation_of_dagsters_schema_is_tried_here() -> None:
    assert set(FIELDS) == set(MUTATIONS)


@pytest.mark.parametrize("field", MUTATIONS)
def test_no_mutation_of_a_viewer_changes_anything(dagit: Dagit, field: str) -> None:
    before = dagit.fingerprint()
    status, answer = dagit.mutate("viewer", field)
    assert (status, answer["data"]) == (403, None)
    assert "change nothing in Dagit" in answer["errors"][0]["message"]
    assert dagit.fingerprint() == before
    assert answers(dagit)


@pytest.mark.parametrize("field", sorted(set(MUTATIONS) - OF_OPERATORS - HARMLESS))
def test_an_operator_changes_nothing_but_runs(dagit: Dagit, field: str) -> None:
    before = dagit.fingerprint()
    _, answer = dagit.mutate("operator", field)
    data = answer["data"]
    # Dagster looks for what is to be executed again before it asks for the permission.
    refusal = "PythonError" if field == "reexecutePartitionBackfill" else "UnauthorizedError"
    assert data is None or data[field]["__typename"] == refusal, answer
    assert dagit.fingerprint() == before
    assert answers(dagit)


@pytest.mark.parametrize("field", sorted(OF_OPERATORS))
def test_an_operator_who_may_not_act_on_every_project_changes_nothing(dagit: Dagit, field: str) -> None:
    before = dagit.fingerprint()
    query = {"query": f"mutation {{ {dagit.call(field)} }}"}
    assert dagit.send("operator", "graphql", query, name="outsider")[0] == 403
    assert dagit.fingerprint() == before


def test_a_mutation_hidden_among_queries_is_not_executed_for_a_viewer(dagit: Dagit) -> None:
    before = dagit.fingerprint()
    document = f"query Look {{ version }} mutation Act {{ {dagit.call('launchRun')} }}"
    assert dagit.ask("viewer", document)[0] == 403
    status, _ = dagit.send("viewer", "graphql", {"query": document, "operationName": "Act"})
    assert status == 403
    assert dagit.fingerprint() == before


@pytest.mark.parametrize("path", REPORTS)
def test_only_an_administrator_reports_events_of_assets(dagit: Dagit, path: str) -> None:
    before = dagit.fingerprint()
    for role in ("viewer", "operator"):
        assert dagit.send(role, path, REPORTS[path])[0] == 401
    assert dagit.fingerprint() == before
    status, text = dagit.send("admin", path, REPORTS[path])
    assert status == 200, text
    assert dagit.fingerprint() != before


def test_a_websocket_of_a_viewer_executes_no_mutation_and_follows_what_happens(dagit: Dagit) -> None:
    before = dagit.fingerprint()
    address = f"ws://127.0.0.1:{dagit.port}/graphql"
    with connect(address, additional_headers={"X-Role": "viewer"}, subprotocols=["graphql-ws"]) as socket:  # type: ignore[list-item]

        def start(number: str, query: str) -> Any:
            socket.send(json.dumps({"type": "start", "id": number, "payload": {"query": query}}))
            return json.loads(socket.recv())

        socket.send(json.dumps({"type": "connection_init"}))
        assert json.loads(socket.recv())["type"] == "connection_ack"
        for number, field in enumerate(MUTATIONS):
            answer = start(str(number), f"mutation {{ {dagit.call(field)} }}")
            assert "errors" in answer["payload"] or answer["type"] == "error", answer
        run_id = dagit.what_is_there()["RUN"]
        answer = start("last", f'subscription {{ pipelineRunLogs(runId: "{run_id}") {{ __typename }} }}')
        assert answer["payload"]["data"]["pipelineRunLogs"]["__typename"] == "PipelineRunLogsSubscriptionSuccess"
    assert dagit.fingerprint() == before


def test_a_viewer_may_look_at_everything(dagit: Dagit) -> None:
    run_id = dagit.what_is_there()["RUN"]
    status, content = dagit.send("viewer", f"download_debug/{run_id}")
    assert (status, content[:2]) == (200, b"\x1f\x8b")
    logs = dagit.home / "storage" / run_id / "compute_logs"
    logs.mkdir(parents=True)
    (logs / "count.out").write_text("counted\n")
    assert dagit.send("viewer", f"logs/{run_id}/compute_logs/count/out")[0] == 200
    assert dagit.send("viewer", "runs")[0] == 200


@pytest.mark.parametrize(
    "path", ["../../dagster.yaml", "../dagster/yaml", "%2e%2e/dagster/yaml", "..%2f..%2fetc/passwd/"]
)
def test_a_download_of_logs_leads_to_nothing_else(dagit: Dagit, path: str) -> None:
    status, content = dagit.send("viewer", f"logs/{path}")
    assert b"telemetry" not in content
    assert b"root:" not in content
    assert status >= 400 or b"<!doctype html>" in content.lower()


def test_dagsters_pages_are_told_what_a_caller_may_do(dagit: Dagit) -> None:
    def enabled(role: str, query: str) -> set[str]:
        _, answer = dagit.ask(role, f"{{ {query} {{ permission value }} }}")
        return {each["permission"] for each in answer["data"][query.partition("(")[0]] if each["value"]}

    runs = {"launch_pipeline_execution", "launch_pipeline_reexecution", "terminate_pipeline_execution"}
    assert enabled("viewer", "permissions") == set()
    assert enabled("operator", "permissions") == runs
    assert enabled("admin", "permissions") > runs


def test_an_administrator_may_do_all_of_it(dagit: Dagit) -> None:
    """That each of these changes something shows that the tests above would notice."""
    without_trace = []
    for field in (field for field in MUTATIONS if field not in LEAVE_NO_TRACE):
        before = dagit.fingerprint()
        status, answer = dagit.mutate("admin", field)
        assert status == 200, (field, answer)
        if dagit.fingerprint() == before or "UnauthorizedError" in json.dumps(answer):
            without_trace.append((field, answer))
        if field.startswith(("terminate", "delete")):
            assert succeeded(dagit.mutate("operator", "launchRun"))
    assert without_trace == []
