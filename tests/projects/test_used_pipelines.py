"""Which pipeline of a project has the stage that a person names."""

from __future__ import annotations

import pytest

from winslow_dagster.errors import NotFound
from winslow_dagster.pipelines.model.pipeline import Pipeline, Stage
from winslow_dagster.projects.domain.used_pipelines import UsedPipeline, named, newest_versions, with_stage


def used(name: str, digest: str, *stages: str) -> UsedPipeline:
    pipeline = Pipeline(name=name, stages=tuple(Stage(name=stage, command=("true",)) for stage in stages))
    return UsedPipeline(name, digest, lambda: pipeline)


def unreadable() -> Pipeline:
    raise NotFound("this version does not exist")


CROSSING = used("crossing", "2", "detect", "count")
LAB = used("lab", "1", "work", "count")
OLDER_CROSSING = used("crossing", "1", "film", "detect")
USED = (CROSSING, LAB, OLDER_CROSSING)


@pytest.mark.parametrize(
    ("stage", "name", "found"),
    [
        ("detect", None, CROSSING),
        ("work", None, LAB),
        ("count", None, CROSSING),
        ("count", "lab", LAB),
        ("film", None, OLDER_CROSSING),
        ("film", "crossing", OLDER_CROSSING),
    ],
)
def test_a_stage_is_that_of_the_first_pipeline_that_has_it(stage: str, name: str | None, found: UsedPipeline) -> None:
    assert with_stage(USED, stage, name) is found.read()


@pytest.mark.parametrize(
    ("stage", "name", "text"),
    [
        ("wrok", None, r"\(crossing, lab\) has a stage 'wrok'; expected .*work.*Did you mean work"),
        ("work", "crossing", r"the pipeline crossing has no stage 'work'"),
        ("work", "crossign", r"has not run through a pipeline 'crossign'.*Did you mean crossing"),
    ],
)
def test_a_stage_or_a_pipeline_that_does_not_exist_is_not_found(stage: str, name: str | None, text: str) -> None:
    with pytest.raises(NotFound, match=text):
        with_stage(USED, stage, name)


def test_a_version_that_cannot_be_read_hides_no_stage_of_a_later_one() -> None:
    assert with_stage((CROSSING, UsedPipeline("lab", "0", unreadable)), "detect") is CROSSING.read()
    assert newest_versions(USED) == (CROSSING, LAB)
    assert named(USED, "crossing") == (CROSSING, OLDER_CROSSING)
