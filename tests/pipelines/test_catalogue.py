from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest

from winslow_dagster.pipelines import Catalogue, load, pipeline_names

GOOD = "name: {name}\nimage: x\nstages: [{{name: a}}]\n"


def write(directory: Path, *names: str) -> None:
    for name in names:
        (directory / f"{name}.yaml").write_text(GOOD.format(name=name))


def test_one_bad_file_never_hides_the_others(tmp_path: Path) -> None:
    write(tmp_path, "first", "last")
    (tmp_path / "broken.yaml").write_text("name: [")
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    (tmp_path / "empty.yaml").touch()
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "wrong.yaml").write_text("name: wrong\nimage: x\nstages: [{name: a, cpu: 1}, {name: b, after: c}]\n")
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    catalogue = Catalogue.read(tmp_path)
    assert list(catalogue.pipelines) == ["first", "last"]
    assert sorted(str(problem).removeprefix(f"{tmp_path}/") for problem in catalogue.problems) == [
        "binary.yaml:2:118: byte 0x80 is not UTF-8; expected a text file in UTF-8",
        "broken.yaml:2:1: not valid YAML: did not find expected node content while parsing a flow node",
        "empty.yaml:1:1: the file is empty; expected a mapping with `name` and `stages`",
        "folder.yaml:1:1: not a file; expected a YAML file",
        "gone.yaml:1:1: the file cannot be read: No such file or directory; expected a file that this user can read",
        "wrong.yaml:3:20: a stage has no field `cpu`; expected a field of a stage; did you mean cpus?",
        'wrong.yaml:3:46: `after` names the unknown stage "c"; expected one of a, b',
    ]


def test_a_loaded_pipeline_knows_its_file_and_the_digest_of_its_bytes(tmp_path: Path) -> None:
    write(tmp_path, "first")
    loaded = load(tmp_path / "first.yaml")
    assert loaded.path == tmp_path / "first.yaml"
    assert loaded.pipeline.name == "first"
    assert loaded.digest == sha256(loaded.path.read_bytes()).hexdigest()
    assert Catalogue.read(tmp_path).pipelines == {"first": loaded}


def test_names_are_listed_without_reading_a_file(tmp_path: Path) -> None:
    write(tmp_path, "b", "a")
    (tmp_path / "broken.yaml").write_text("name: [")
    os.mkfifo(tmp_path / "pipe.yaml")  # reading it would never end
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".a.yaml").touch()
    (tmp_path / "Not A Name.yaml").touch()
    names = pipeline_names(tmp_path)
    assert list(names) == ["a", "b", "broken"]
    assert names["a"] == tmp_path / "a.yaml"


def test_a_missing_directory_has_no_pipelines_and_is_reported(tmp_path: Path) -> None:
    assert pipeline_names(tmp_path / "nowhere") == {}
    (problem,) = Catalogue.read(tmp_path / "nowhere").problems
    assert problem.what == "the directory cannot be read: No such file or directory"


@pytest.mark.parametrize("name", ["tracks.yml", "tracks.YAML"])
def test_a_file_with_another_suffix_is_reported(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(GOOD.format(name="tracks"))
    (problem,) = Catalogue.read(tmp_path).problems
    assert (problem.file, problem.suggestion) == (str(tmp_path / name), "tracks.yaml")


def test_a_file_with_an_invalid_name_is_reported(tmp_path: Path) -> None:
    (tmp_path / "My Tracks.yaml").write_text(GOOD.format(name="my_tracks"))
    (problem,) = Catalogue.read(tmp_path).problems
    assert problem.what == 'the pipeline is named "my_tracks", but its file is My Tracks.yaml'
