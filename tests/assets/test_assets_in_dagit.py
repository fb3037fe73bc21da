"""The asset graph as Dagit's own page asks for it, with the sensors that fill it run by the real daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from dagster import AssetCheckEvaluation, AssetKey, AssetMaterialization, DagsterInstance, job, op
from installation import Installation, until
from places import CHECKS, TWO, add_project, add_success, add_video

from winslow_dagster.jobs.check_events import check_evaluations
from winslow_dagster.pipelines import keep_version
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.services.supervisor import service_environment

pytestmark = pytest.mark.slow

NODES = "{ assetNodes { assetKey { path } dependencyKeys { path } groupName isPartitioned } }"
NODE = """
{ assetNodeOrError(assetKey: {path: %s}) { ... on AssetNode {
    partitionKeys
    assetMaterializations(limit: 10) { partition runId metadataEntries { label } }
    assetChecksOrError { ... on AssetChecks { checks {
      name blocking executionForLatestMaterialization { status evaluation { success severity description } }
} } } } } }
"""
EXECUTIONS = """
{ assetCheckExecutions(assetKey: {path: ["two", "second"]}, checkName: "%s", limit: 10) {
    runId status evaluation { success severity description metadataEntries { label } }
} }
"""


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A project with a file and an attempt from before the services were started."""
    installation = Installation(tmp_path_factory.mktemp("assets"), None, {"two": TWO})
    records = ProjectRecords.open(installation.settings.database_url)
    settings = installation.settings
    digest = keep_version(settings.pipelines_dir / "two.yaml", settings.versions_dir)
    add_project(records, "ulm", digest)
    add_video(records, "ulm")
    add_success(records, "ulm", "run1", {"vehicles": "12"})
    records.close()
    installation.up()
    yield installation
    installation.down()


def node(there: Installation, *path: str) -> dict[str, Any]:
    found: dict[str, Any] = there.ask(NODE % json.dumps(path))["assetNodeOrError"]
    return found


@pytest.fixture
def instance(there: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    """The installation's own instance, opened beside its services."""
    for name in ("DAGSTER_HOME", "WINSLOW_HOME", "WINSLOW_PIPELINES_DIR"):
        monkeypatch.setenv(name, service_environment(there.settings)[name])
    with DagsterInstance.get() as opened:
        yield opened


def test_the_lineage_is_shown_from_the_file_to_the_table(there: Installation) -> None:
    nodes = there.ask(NODES)["assetNodes"]
    found = {"/".join(each["assetKey"]["path"]): each for each in nodes}
    assert {name: ["/".join(key["path"]) for key in each["dependencyKeys"]] for name, each in found.items()} == {
        "two/inputs/video": [],
        "two/first": ["two/inputs/video"],
        "two/second": ["two/first"],
        "results": ["two/second"],
    }
    assert [name for name, each in found.items() if not each["isPartitioned"]] == ["results"]


def test_the_daemon_makes_the_partition_and_reports_the_file_and_the_table(there: Installation) -> None:
    until(lambda: node(there, "two", "inputs", "video")["partitionKeys"] == ["ulm"], "the project is a partition")
    until(lambda: node(there, "two", "inputs", "video")["assetMaterializations"] != [], "the file is reported")
    until(lambda: node(there, "results")["assetMaterializations"] != [], "the table is written")
    (video,) = node(there, "two", "inputs", "video")["assetMaterializations"]
    assert video["partition"] == "ulm"
    assert {"size_bytes", "blake3", "original_path"} <= {entry["label"] for entry in video["metadataEntries"]}
    assert "run1.second.1" in (there.settings.home / "results.csv").read_text()


@op(out={})
def report() -> Iterator[AssetMaterialization | AssetCheckEvaluation]:
    """As a stage's op does: outside of any asset's definition."""
    yield AssetMaterialization(AssetKey(["two", "second"]), partition="ulm")
    yield from check_evaluations("two", "second", "ulm", CHECKS)


@job
def reporting() -> None:
    report()


def test_what_an_op_says_of_checks_is_shown_on_the_asset(there: Installation, instance: DagsterInstance) -> None:
    done = reporting.execute_in_process(instance=instance)
    second = node(there, "two", "second")
    assert [each["partition"] for each in second["assetMaterializations"]] == ["ulm"]
    checks = {check["name"]: check for check in second["assetChecksOrError"]["checks"]}
    assert {name: check["blocking"] for name, check in checks.items()} == {"made": True, "has_speed": False}
    latest = {name: check["executionForLatestMaterialization"] for name, check in checks.items()}
    assert {name: each["status"] for name, each in latest.items()} == {"made": "SUCCEEDED", "has_speed": "FAILED"}
    (made,) = there.ask(EXECUTIONS % "made")["assetCheckExecutions"]
    (speed,) = there.ask(EXECUTIONS % "has_speed")["assetCheckExecutions"]
    assert (made["runId"], made["status"], made["evaluation"]["success"]) == (done.run_id, "SUCCEEDED", True)
    assert {entry["label"] for entry in made["evaluation"]["metadataEntries"]} == {"files"}
    assert (speed["status"], speed["evaluation"]["severity"]) == ("FAILED", "WARN")
    assert speed["evaluation"]["description"] == "no column speed"
