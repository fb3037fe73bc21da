"""Pipeline files as jobs: lazily, each by itself, and in the version a run began with."""

from __future__ import annotations

from pathlib import Path

import pytest

from winslow_dagster.jobs.repository import Version, pipeline_jobs, worker_jobs
from winslow_dagster.jobs.tags import PIPELINE_DIGEST, QUEUE
from winslow_dagster.pipelines import keep_version
from winslow_dagster.projects.domain.queue_rules import GPU_VENDOR_TAG
from winslow_dagster.settings import Settings

GOOD = """
name: good
image: nothing:1
stages:
  - {name: first, args: ["true"]}
  - {name: second, args: ["true"]}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "good.yaml").write_text(GOOD)
    return Settings.read({"WINSLOW_HOME": str(tmp_path / "home"), "WINSLOW_PIPELINES_DIR": str(tmp_path / "pipelines")})


def test_listing_the_jobs_parses_no_file(settings: Settings) -> None:
    (settings.pipelines_dir / "broken.yaml").write_text("name: [")
    assert set(pipeline_jobs(settings, ())) == {"good", "broken"}


def test_a_bad_file_becomes_a_job_that_says_what_is_wrong_and_hides_no_other(settings: Settings) -> None:
    (settings.pipelines_dir / "broken.yaml").write_text("name: broken\nimage: x\nstagges: []\n")
    jobs = pipeline_jobs(settings, ())
    description = jobs["broken"]().description
    assert description is not None
    assert "broken.yaml:3:1" in description
    assert "did you mean stages" in description
    assert [node.name for node in jobs["good"]().nodes_in_topological_order] == ["first", "second"]


def test_one_edge_leads_from_a_stage_to_each_that_follows_it(settings: Settings) -> None:
    graph = pipeline_jobs(settings, ())["good"]().graph
    second = next(node for node in graph.dependencies if node.alias == "second")
    assert {name: (dependency.node, dependency.output) for name, dependency in graph.dependencies[second].items()} == {
        "first": ("first", "second")
    }


def test_jobs_and_stages_that_nobody_described_say_what_they_run(settings: Settings) -> None:
    job = pipeline_jobs(settings, ())["good"]()
    assert job.description == "Runs first, second."
    assert {node.definition.description for node in job.nodes} == {"Runs `true` in the image `nothing:1`."}


def test_a_version_that_a_project_holds_on_to_stays_a_job_of_its_own(settings: Settings) -> None:
    path = settings.pipelines_dir / "good.yaml"
    old = Version("good", keep_version(path, settings.versions_dir))
    assert set(pipeline_jobs(settings, [old])) == {"good"}
    path.write_text(GOOD + '  - {name: third, args: ["true"]}\n')
    jobs = pipeline_jobs(settings, [old])
    assert set(jobs) == {"good", old.job_name}
    assert len(jobs["good"]().nodes) == 3
    assert len(jobs[old.job_name]().nodes) == 2
    assert jobs[old.job_name]().tags[PIPELINE_DIGEST] == old.digest


def test_a_worker_serves_the_version_its_run_began_with(settings: Settings) -> None:
    path = settings.pipelines_dir / "good.yaml"
    digest = keep_version(path, settings.versions_dir)
    path.write_text("name: [")
    jobs = worker_jobs(settings, f"good=good={digest}")
    assert len(jobs["good"]().nodes) == 2


def test_only_pipelines_that_cannot_do_without_a_gpu_queue_for_one(settings: Settings) -> None:
    for name, gpu in (("needs", "1"), ("likes", "{count: 1, optional: true}")):
        text = f"name: {name}\nimage: x\nstages:\n  - {{name: detect, args: [x], gpu: {gpu}}}\n"
        (settings.pipelines_dir / f"{name}.yaml").write_text(text)
    jobs = pipeline_jobs(settings, ())
    assert {name: jobs[name]().tags[QUEUE] for name in jobs} == {"good": "cpu", "likes": "cpu", "needs": "gpu"}
    assert GPU_VENDOR_TAG not in jobs["needs"]().tags
    assert next(iter(jobs["needs"]().nodes)).definition.pool == "gpu"
    assert next(iter(jobs["likes"]().nodes)).definition.pool is None


def test_a_pipeline_names_the_vendor_of_the_gpus_that_it_needs_if_there_is_one(settings: Settings) -> None:
    for name, second in (("one", "amd"), ("two", "nvidia")):
        stages = "".join(
            f"  - {{name: s{number}, args: [x], gpu: {{count: 1, vendor: {vendor}}}}}\n"
            for number, vendor in enumerate(("amd", second))
        )
        (settings.pipelines_dir / f"{name}.yaml").write_text(f"name: {name}\nimage: x\nstages:\n{stages}")
    jobs = pipeline_jobs(settings, ())
    assert {name: jobs[name]().tags.get(GPU_VENDOR_TAG) for name in ("one", "two")} == {"one": "amd", "two": None}
