from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from winslow_dagster.errors import NotFound, PipelineInvalid, StoreError
from winslow_dagster.pipelines import Pipeline, keep_version, load_version, parse_pipeline, version_digests
from winslow_dagster.pipelines.changes import changes

GOOD = "name: tracks\nimage: tracker:{tag}\nstages: [{{name: a}}]\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tracks.yaml"
    path.write_text(GOOD.format(tag=1))
    return path


def test_a_version_stays_when_its_file_changes(file: Path, tmp_path: Path) -> None:
    kept = tmp_path / "versions"
    first = keep_version(file, kept)
    file.write_text(GOOD.format(tag=2))
    second = keep_version(file, kept)
    assert load_version(kept, "tracks", first).stage("a").image == "tracker:1"
    assert load_version(kept, "tracks", second).stage("a").image == "tracker:2"
    assert set(version_digests(kept, "tracks")) == {first, second}


def test_a_version_is_a_read_only_copy_named_by_its_content(file: Path, tmp_path: Path) -> None:
    digest = keep_version(file, tmp_path / "versions")
    copy = tmp_path / "versions" / "tracks" / f"{digest}.yaml"
    assert copy.read_bytes() == file.read_bytes()
    assert digest == sha256(file.read_bytes()).hexdigest()
    assert copy.stat().st_mode & 0o777 == 0o444
    assert list(copy.parent.iterdir()) == [copy]


def test_keeping_a_version_again_changes_nothing(file: Path, tmp_path: Path) -> None:
    digest = keep_version(file, tmp_path / "versions")
    copy = tmp_path / "versions" / "tracks" / f"{digest}.yaml"
    before = copy.stat()
    assert keep_version(file, tmp_path / "versions") == digest
    assert copy.stat() == before


def test_many_can_keep_the_same_version_at_once(file: Path, tmp_path: Path) -> None:
    kept = tmp_path / "versions"
    with ThreadPoolExecutor(16) as pool:
        digests = set(pool.map(lambda _: keep_version(file, kept), range(64)))
    assert version_digests(kept, "tracks") == tuple(digests)
    assert len(list((kept / "tracks").iterdir())) == 1


def test_an_invalid_file_is_not_kept(file: Path, tmp_path: Path) -> None:
    file.write_text("name: tracks\n")
    with pytest.raises(PipelineInvalid):
        keep_version(file, tmp_path / "versions")
    assert not (tmp_path / "versions").exists()


@pytest.mark.parametrize(
    ("name", "digest"),
    [("tracks", "0" * 64), ("tracks", "../tracks"), ("../versions/tracks", "{kept}"), ("other", "{kept}")],
)
def test_a_version_that_was_never_kept_is_not_found(file: Path, tmp_path: Path, name: str, digest: str) -> None:
    kept = keep_version(file, tmp_path / "versions")
    with pytest.raises(NotFound, match=r"version .* does not exist"):
        load_version(tmp_path / "versions", name, digest.format(kept=kept))


def test_a_version_that_was_changed_on_disk_is_rejected(file: Path, tmp_path: Path) -> None:
    digest = keep_version(file, tmp_path / "versions")
    copy = tmp_path / "versions" / "tracks" / f"{digest}.yaml"
    copy.chmod(0o644)
    copy.write_text(GOOD.format(tag=9))
    with pytest.raises(StoreError, match="the stored version of tracks was changed"):
        load_version(tmp_path / "versions", "tracks", digest)


def test_an_unwritable_directory_is_reported(file: Path, tmp_path: Path) -> None:
    (tmp_path / "versions").write_text("a file where a directory belongs")
    with pytest.raises(StoreError, match="a version of tracks cannot be stored: Not a directory"):
        keep_version(file, tmp_path / "versions")


def pipeline(text: str) -> Pipeline:
    return parse_pipeline(f"name: tracks\nimage: x:1\n{text}".encode(), "tracks.yaml", "tracks")


def test_nothing_changed_between_a_pipeline_and_itself() -> None:
    same = pipeline("stages: [{name: a, gpu: 1, needs_input: {form: [{kind: text, name: t}]}}]")
    assert changes(same, same) == ()


def test_changes_are_described_in_the_terms_of_the_file() -> None:
    old = pipeline(r"""
env: {A: "1", B: "2"}
inputs: {video: {kind: video}}
stages:
  - {name: decode, timeout: 90}
  - {name: detect, memory: 4GiB, cpus: 1, args: [--fast], warnings: [W]}
  - {name: sketch}
  - {name: report, retries: {count: 1}, outputs: [a.csv]}
""")
    new = pipeline(r"""
description: Now with words.
env: {A: "1", B: "3", C: ""}
inputs: {video: {kind: video, required: false}, map: {kind: image}}
stages:
  - {name: decode, timeout: 2h}
  - {name: detect, memory: 8GiB, cpus: 1.5, args: [--slow, "${A}"], gpu: {count: 2, memory: 8GiB}, network: true}
  - {name: clean, after: detect}
  - {name: report, after: [detect, clean], image: "y:2", retries: {count: 2}, outputs: [{glob: a.csv, min_size: 1KiB}]}
""")
    assert [str(change) for change in changes(old, new)] == [
        'pipeline: description "" -> "Now with words."',
        'pipeline: env.B "2" -> "3"',
        'pipeline: env.C not set -> ""',
        "pipeline: inputs.video.required true -> false",
        'pipeline: inputs.map.kind not set -> "image"',
        "pipeline: inputs.map.suffixes not set -> []",
        "pipeline: inputs.map.parts not set -> false",
        "pipeline: inputs.map.required not set -> true",
        'pipeline: inputs.map.description not set -> ""',
        "stage decode: timeout 1m 30s -> 2h",
        'stage detect: args ["--fast"] -> ["--slow", "${A}"]',
        "stage detect: cpus 1 -> 1.5",
        "stage detect: memory 4GiB -> 8GiB",
        "stage detect: gpu.count not set -> 2",
        "stage detect: gpu.memory not set -> 8GiB",
        "stage detect: gpu.optional not set -> false",
        "stage detect: network false -> true",
        'stage detect: warnings ["W"] -> []',
        "stage clean added",
        "stage report: image x:1 -> y:2",
        "stage report: after [sketch] -> [detect, clean]",
        "stage report: retries.count 1 -> 2",
        'stage report: outputs [{glob: "a.csv", min_size: 0B}] -> [{glob: "a.csv", min_size: 1KiB}]',
        "stage sketch removed",
    ]
