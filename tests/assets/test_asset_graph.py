"""Pipeline files as an asset graph, and the checks on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dagster import AssetCheckKey, AssetKey, DagsterInstance, RepositoryDefinition, repository
from places import TWO, add_project, add_success

from winslow_dagster.assets.checks import CHECK_JOB
from winslow_dagster.assets.graph import RESULTS, input_key, projects_of, stage_key
from winslow_dagster.assets.repository import Assets, LazyRepository
from winslow_dagster.jobs.launcher import PINNED_VERSION
from winslow_dagster.jobs.repository import pipeline_jobs
from winslow_dagster.pipelines import keep_version
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.settings import Settings

FORK = """
name: fork
image: nothing:1
inputs: {video: {kind: video}, points: {kind: json, required: false}}
stages:
  - {name: cut, args: [x]}
  - {name: detect, args: [x], after: [cut]}
  - {name: look, args: [x], after: [cut]}
"""
WORKER = """
from winslow_dagster.definitions import winslow
assert [node.name for node in winslow.get_job("two").nodes_in_topological_order] == ["first", "second"]
assert not winslow.assets_defs_by_key and not winslow.asset_checks_defs_by_key
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    directory = tmp_path / "pipelines"
    directory.mkdir()
    (directory / "two.yaml").write_text(TWO)
    (directory / "fork.yaml").write_text(FORK)
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WINSLOW_PIPELINES_DIR", str(directory))
    return Settings.read()


def loaded(settings: Settings, assets: Assets | None = None) -> RepositoryDefinition:
    @repository
    def winslow() -> LazyRepository:  # type: ignore[misc]
        return LazyRepository(pipeline_jobs(settings, ()), (), assets or Assets(settings))

    return winslow  # type: ignore[return-value]


def upstream(found: RepositoryDefinition, key: AssetKey) -> set[AssetKey]:
    return set(found.asset_graph.get(key).parent_keys)


def test_what_a_stage_makes_comes_from_the_stages_before_it_and_at_first_from_the_inputs(settings: Settings) -> None:
    found = loaded(settings)
    assert upstream(found, stage_key("two", "second")) == {stage_key("two", "first")}
    assert upstream(found, stage_key("fork", "look")) == {stage_key("fork", "cut")}
    assert upstream(found, stage_key("fork", "cut")) == {input_key("fork", "video"), input_key("fork", "points")}
    assert upstream(found, input_key("two", "video")) == set()


def test_the_table_of_results_comes_from_the_last_stages_of_every_pipeline(settings: Settings) -> None:
    ends = {stage_key("two", "second"), stage_key("fork", "detect"), stage_key("fork", "look")}
    assert upstream(loaded(settings), RESULTS) == ends


def test_the_projects_of_a_pipeline_are_the_partitions_of_its_assets(settings: Settings) -> None:
    graph = loaded(settings).asset_graph
    assert {key: graph.get(key).partitions_def for key in graph.get_all_asset_keys()} == {
        key: None if key == RESULTS else projects_of(key.path[0]) for key in graph.get_all_asset_keys()
    }
    assert projects_of("two") != projects_of("fork")


def test_every_asset_says_what_it_is_and_how_it_is_made(settings: Settings) -> None:
    specs = {spec.key: spec.description or "" for each in Assets(settings).definitions.values() for spec in each.specs}
    assert specs[input_key("two", "video")].startswith("The flight\n")
    assert specs[input_key("fork", "points")].startswith("The json of each project.\n")
    assert "launch the job with `project: NAME` and `start_from: look`" in specs[stage_key("fork", "look")]
    assert specs[stage_key("fork", "cut")].startswith("Runs `x` in the image `nothing:1`.\n")
    assert specs[stage_key("two", "first")].startswith("Runs `sh -c true`.\n")


def test_a_bad_file_hides_no_other(settings: Settings) -> None:
    (settings.pipelines_dir / "broken.yaml").write_text("name: [")
    keys = loaded(settings).asset_graph.get_all_asset_keys()
    assert stage_key("two", "first") in keys
    assert not [key for key in keys if key.path[0] == "broken"]


def test_one_job_is_made_without_a_look_at_the_graph(settings: Settings) -> None:
    assets = Assets(settings)
    assert loaded(settings, assets).get_job("two").name == "two"
    assert vars(assets).keys() == {"_settings"}


def test_a_run_worker_has_no_graph(settings: Settings) -> None:
    digest = keep_version(settings.pipelines_dir / "two.yaml", settings.versions_dir)
    environment = {**os.environ, PINNED_VERSION: f"two=two={digest}"}
    subprocess.run([sys.executable, "-c", WORKER], env=environment, check=True)


def test_declared_checks_stand_on_their_stage(settings: Settings) -> None:
    found = loaded(settings)
    second = stage_key("two", "second")
    assert set(found.asset_checks_defs_by_key) == {AssetCheckKey(second, "made"), AssetCheckKey(second, "has_speed")}
    assert set(found.job_names) == {"two", "fork", CHECK_JOB}


def test_without_checks_there_is_no_job_for_them(settings: Settings) -> None:
    (settings.pipelines_dir / "two.yaml").unlink()
    assert set(loaded(settings).job_names) == {"fork"}


def test_the_job_of_checks_summarizes_the_results_of_all_projects(settings: Settings) -> None:
    records = ProjectRecords.open(settings.database_url)
    for project in ("ulm", "bonn"):
        add_project(records, project)
        add_success(records, project, f"{project}-run", {})
    records.close()
    with DagsterInstance.ephemeral() as instance:
        done = loaded(settings).get_job(CHECK_JOB).execute_in_process(instance=instance)
        results = {each.check_name: each for each in done.get_asset_check_evaluations()}
    assert {name: (each.passed, each.severity.value) for name, each in results.items()} == {
        "made": (True, "ERROR"),
        "has_speed": (False, "WARN"),
    }
    assert results["has_speed"].description == "failed in bonn, ulm"
    assert results["made"].metadata["projects"].value == 2
