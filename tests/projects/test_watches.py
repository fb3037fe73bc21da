"""The file of watched places: read, or refused with every fault and its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from winslow_dagster.errors import InputRejected, NotFound, WatchFileInvalid
from winslow_dagster.pipelines.model.pipeline import Pipeline, ProjectInput, Stage
from winslow_dagster.projects.ingest.config import Watch, load_watches, parse_watches

EXAMPLE = Path(__file__).parents[2] / "docs" / "watch.example.yaml"
STAGES = (Stage(name="one", command=("true",)),)
VIDEO, POINTS = ProjectInput(kind="video"), ProjectInput(kind="json", required=False)


def problems(text: str) -> list[str]:
    with pytest.raises(WatchFileInvalid) as caught:
        parse_watches(text.encode(), "watch.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_watch_needs_a_name_a_place_and_a_pipeline(tmp_path: Path) -> None:
    file = tmp_path / "watch.yaml"
    file.write_text("watches:\n  - {name: drone, place: /data/drone, pipeline: traffic}\n")
    assert load_watches(file) == (Watch(name="drone", place="/data/drone", pipeline="traffic"),)


def test_without_a_file_or_with_an_empty_one_nothing_is_watched(tmp_path: Path) -> None:
    assert load_watches(tmp_path / "watch.yaml") == ()
    (tmp_path / "watch.yaml").write_text("\n# later\n")
    assert load_watches(tmp_path / "watch.yaml") == ()


def test_the_example_is_a_file_of_watches_that_says_every_field() -> None:
    said = {name for watch in load_watches(EXAMPLE) for name in watch.model_fields_set}
    assert said == set(Watch.model_fields)


def test_every_fault_is_named_with_its_place_and_what_was_meant() -> None:
    text = """watches:
  - name: drone
    place: videos
    pipelin: traffic
    settle: 5 parsecs
    glob: [../*.mp4]
    at_once: 0
    project: '{stem:>9}'
"""
    assert problems(text) == [
        "watch.yaml:2:5: a watch has no `pipeline`; expected `pipeline: …`",
        'watch.yaml:3:12: `place`: "videos" is no place; expected an absolute directory, or s3://bucket/prefix',
        "watch.yaml:4:5: a watch has no field `pipelin`; expected a field of a watch; did you mean pipeline?",
        (
            'watch.yaml:5:13: `settle`: "5 parsecs" is not a duration; expected a duration such as "90s", "2h" '
            'or "1d 2h", or a number of seconds; did you mean 5s?'
        ),
        (
            'watch.yaml:6:12: an item of `glob`: "../*.mp4" leads out of the directory; expected a relative path '
            "such as result.csv, *.png or **/*.jpg"
        ),
        "watch.yaml:7:14: `at_once` is 0; expected at least 1",
        (
            'watch.yaml:8:14: `project`: "{stem:>9}" cannot be read: {stem:>9} is no plain field; expected fields '
            "such as {stem}; {{ stands for {"
        ),
    ]


def test_what_concerns_several_fields_is_found_too() -> None:
    text = """watches:
  - {name: one, place: 's3://films/in', pipeline: traffic, match: '(?P<site>[a-z]+)', project: '{sit}'}
  - {name: one, place: 's3://films', pipeline: traffic, set_aside_dir: /bad}
"""
    assert problems(text) == [
        (
            "watch.yaml:2:96: `project` has no field {sit}; expected one of stem, parent, date, site, or a group of "
            "`match`; did you mean site?"
        ),
        'watch.yaml:3:12: two watches are called "one"; expected another name',
        "watch.yaml:3:57: `set_aside_dir` cannot be said of an S3 prefix; expected objects stay where they are",
    ]


def test_a_file_becomes_the_only_video_unless_the_watch_says_otherwise() -> None:
    pipeline = Pipeline(name="traffic", inputs={"points": POINTS, "video": VIDEO}, stages=STAGES)
    watch = Watch(name="drone", place="/d", pipeline="traffic")
    assert watch.input_of(pipeline) == "video"
    assert watch.model_copy(update={"input": "points"}).input_of(pipeline) == "points"
    with pytest.raises(NotFound, match="Did you mean video"):
        watch.model_copy(update={"input": "vidoe"}).input_of(pipeline)
    two = pipeline.model_copy(update={"inputs": {"left": VIDEO, "right": VIDEO}})
    with pytest.raises(InputRejected, match="asks for 2 videos"):
        watch.input_of(two)
    folder = pipeline.model_copy(update={"inputs": {"frames": ProjectInput(kind="directory")}})
    with pytest.raises(InputRejected, match="is a directory"):
        watch.model_copy(update={"input": "frames"}).input_of(folder)
