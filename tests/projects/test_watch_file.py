"""The watch file: read, or rejected with every fault and its line."""

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


def test_a_watch_needs_a_name_a_source_and_a_pipeline(tmp_path: Path) -> None:
    file = tmp_path / "watch.yaml"
    file.write_text("watches:\n  - {name: drone, source: /data/drone, pipeline: traffic}\n")
    assert load_watches(file) == (Watch(name="drone", source="/data/drone", pipeline="traffic"),)


def test_without_a_file_or_with_an_empty_one_nothing_is_watched(tmp_path: Path) -> None:
    assert load_watches(tmp_path / "watch.yaml") == ()
    (tmp_path / "watch.yaml").write_text("\n# later\n")
    assert load_watches(tmp_path / "watch.yaml") == ()


def test_the_example_is_a_watch_file_with_every_field() -> None:
    fields = {name for watch in load_watches(EXAMPLE) for name in watch.model_fields_set}
    assert fields == set(Watch.model_fields)


def test_every_fault_is_named_with_its_line_and_a_suggestion() -> None:
    text = """watches:
  - name: drone
    source: videos
    pipelin: traffic
    stable_for: 5 parsecs
    glob: [../*.mp4]
    max_concurrent: 0
    project: '{stem:>9}'
"""
    assert problems(text) == [
        "watch.yaml:2:5: a watch has no `pipeline`; expected `pipeline: …`",
        'watch.yaml:3:13: `source`: "videos" is not a valid source; expected an absolute directory, or s3://bucket/prefix',
        "watch.yaml:4:5: a watch has no field `pipelin`; expected a field of a watch; did you mean pipeline?",
        (
            'watch.yaml:5:17: `stable_for`: "5 parsecs" is not a duration; expected a duration such as "90s", "2h" '
            'or "1d 2h", or a number of seconds; did you mean 5s?'
        ),
        (
            'watch.yaml:6:12: an item of `glob`: "../*.mp4" leads out of the directory; expected a relative path '
            "such as result.csv, *.png or **/*.jpg"
        ),
        "watch.yaml:7:21: `max_concurrent` is 0; expected at least 1",
        (
            'watch.yaml:8:14: `project`: "{stem:>9}" is not a valid template: {stem:>9} is not a plain field; '
            "expected fields such as {stem}; {{ for {"
        ),
    ]


def test_faults_that_involve_several_fields_are_found_too() -> None:
    text = """watches:
  - {name: one, source: 's3://films/in', pipeline: traffic, path_regex: '(?P<site>[a-z]+)', project: '{sit}'}
  - {name: one, source: 's3://films', pipeline: traffic, quarantine_dir: /bad}
"""
    assert problems(text) == [
        (
            "watch.yaml:2:102: `project` has no field {sit}; expected one of stem, parent, date, site, or a group of "
            "`path_regex`; did you mean site?"
        ),
        'watch.yaml:3:12: duplicate watch name "one"; expected another name',
        "watch.yaml:3:58: `quarantine_dir` cannot be used with an S3 source; expected a directory as `source`",
    ]


def test_a_file_becomes_the_only_video_unless_the_watch_says_otherwise() -> None:
    pipeline = Pipeline(name="traffic", inputs={"points": POINTS, "video": VIDEO}, stages=STAGES)
    watch = Watch(name="drone", source="/d", pipeline="traffic")
    assert watch.input_of(pipeline) == "video"
    assert watch.model_copy(update={"input": "points"}).input_of(pipeline) == "points"
    with pytest.raises(NotFound, match="Did you mean video"):
        watch.model_copy(update={"input": "vidoe"}).input_of(pipeline)
    two = pipeline.model_copy(update={"inputs": {"left": VIDEO, "right": VIDEO}})
    with pytest.raises(InputRejected, match="requires 2 videos"):
        watch.input_of(two)
    folder = pipeline.model_copy(update={"inputs": {"frames": ProjectInput(kind="directory")}})
    with pytest.raises(InputRejected, match="is a directory"):
        watch.model_copy(update={"input": "frames"}).input_of(folder)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("place: /data", "source"),
        ("settle: 30s", "stable_for"),
        ("at_once: 4", "max_concurrent"),
        ("set_aside_dir: /bad", "quarantine_dir"),
        ("match: '[a-z]+'", "path_regex"),
        ("start: false", "auto_start"),
    ],
)
def test_an_old_field_is_an_error_at_its_line_that_names_the_new_one(old: str, new: str) -> None:
    name = old.partition(":")[0]
    found = problems(f"watches:\n  - name: drone\n    source: /data\n    pipeline: traffic\n    {old}\n")
    assert found == [f"watch.yaml:5:5: a watch has no field `{name}`; expected a field of a watch; did you mean {new}?"]
