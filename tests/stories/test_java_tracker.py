"""A group's own TrackerApplication in Java: from its jar, by one command, to a project with results."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from films import film
from installation import Installation, environ, until
from java_images import contract_jar, java_base

from winslow_dagster import Winslow
from winslow_dagster.cli.main import main
from winslow_dagster.projects.domain.actor import Actor

pytestmark = [pytest.mark.docker, pytest.mark.java, pytest.mark.slow]

TAG = f"winslow-test-tracker:{uuid.uuid4().hex[:8]}"
OTHERS = {
    "asks": "ask",
    "fails": "fail, 3",
    "waits": "wait",
    "fills_its_heap": "fill, heap",
    "fills_its_container": "fill, container",
}
OTHER = """
name: {name}
image: {image}
stages:
  - name: act
    args: [{args}]
    memory: 256MiB
    stop_grace_period: 60s
    errors: ['^ERROR', 'java\\.lang\\.OutOfMemoryError']
"""


@pytest.fixture(scope="module")
def there(test_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Services whose pipelines are the one that the command writes and what else the program can do."""
    pipelines = {name: OTHER.format(name=name, image=TAG, args=args) for name, args in OTHERS.items()}
    made = Installation(tmp_path_factory.mktemp("java"), TAG, pipelines)
    starter = made.settings.pipelines_dir / "crossroads.yaml"
    jar = contract_jar(tmp_path_factory.mktemp("jar"))
    options = ["--base-image", java_base(test_image), "--pipeline-out", str(starter)]
    try:
        with pytest.raises(SystemExit) as ended:
            main(["images", "java", "--jar", str(jar), "--tag", TAG, *options])
        assert ended.value.code == 0
        made.up()
        yield made
    finally:
        made.down()
        subprocess.run(["docker", "rmi", "--force", TAG], check=False, capture_output=True)


@pytest.fixture(scope="module")
def winslow(there: Installation) -> Iterator[Winslow]:
    with Winslow(there.settings, Actor("anna")) as api:
        yield api


@pytest.fixture
def in_shell(
    there: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Run `winslow` with these words and --json; gives the exit code and what it printed."""
    monkeypatch.setenv("WINSLOW_PIPELINES_DIR", there.environment["WINSLOW_PIPELINES_DIR"])

    def run(*words: str) -> tuple[int, Any]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*words, "--json"])
        assert isinstance(ended.value.code, int)
        said = capsys.readouterr()
        return ended.value.code, json.loads(said.out if ended.value.code == 0 else said.err.splitlines()[-1])

    return run


def test_the_pipeline_that_is_written_runs_the_program_as_it_is(winslow: Winslow, tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(film())
    status = winslow.run("crossroads", "first", {"video": tmp_path / "film.mp4"}).wait()
    assert status.state == "succeeded"
    track, summarise = status.stage("track"), status.stage("summarise")
    assert (track.mode, track.results) == ("docker", {"video_bytes": str(len(film()))})
    assert [(one.subject, one.current, one.total) for one in track.progress] == [("frames", 4, 4)]
    assert summarise.results == {"vehicles": "4"}
    (summary,) = winslow.project("first").files("summarise")
    assert summary.local_path is not None
    assert summary.local_path.read_text() == "4 Fahrzeuge auf der Straße\n"

    redone = winslow.project("first").redo("track", env={"MIN_TRACK_SECONDS": "5"}, only=True).wait()
    assert redone.stage("track").state == "succeeded"
    (tracks,) = winslow.project("first").files("track")
    assert tracks.local_path is not None
    assert tracks.local_path.read_text().splitlines()[1] == "1,5.0"


def test_exit_code_75_waits_for_a_person(winslow: Winslow) -> None:
    status = winslow.run("asks", "asks").ended()
    assert status.state == "awaiting_input"
    assert "Which lane is the left one?" in status.reason


def test_any_other_exit_code_fails_with_the_programs_words(winslow: Winslow) -> None:
    status = winslow.run("fails", "fails").ended()
    assert status.stage("act").state == "failed"
    assert status.stage("act").reason == "exit code 3, log line 1: ERROR frame 7 cannot be read"


def test_cancel_ends_the_jvm_which_still_puts_things_in_order(winslow: Winslow) -> None:
    run = winslow.run("waits", "waits")
    project = winslow.project("waits")
    until(lambda: project.status().stage("act").state == "running", "the program runs")
    task_id = project.status().stage("act").task_id
    assert task_id is not None
    until(lambda: "waiting" in log(winslow, "waits"), "it has begun to wait")
    assert java_of(task_id) != []
    project.cancel()
    status = run.ended()
    assert (status.state, status.stage("act").state) == ("cancelled", "cancelled")
    assert log(winslow, "waits") == ["waiting", "closed the files"]
    until(lambda: java_of(task_id) == [], "no JVM is left behind")


def test_a_full_heap_is_told_as_java_tells_it(winslow: Winslow) -> None:
    status = winslow.run("fills_its_heap", "heap").ended()
    assert status.stage("act").reason == (
        "exit code 3, log line 1: Terminating due to java.lang.OutOfMemoryError: Java heap space"
    )


def test_a_container_that_is_out_of_memory_is_told_with_its_limit(winslow: Winslow) -> None:
    status = winslow.run("fills_its_container", "container").ended()
    assert status.stage("act").state == "failed"
    killed = "out of memory at 256 MiB: exit code 137; it printed nothing; give the stage more `memory`"
    assert status.stage("act").reason == killed


def test_the_images_of_the_pipelines_are_listed(there: Installation, in_shell: Callable[..., Any]) -> None:
    for name, image in (("gone", "nobody/has:this"), ("either", "a/tracker:${VERSION:-1}")):
        (there.settings.pipelines_dir / f"{name}.yaml").write_text(OTHER.format(name=name, image=image, args=""))
    try:
        code, said = in_shell("images", "list")
    finally:
        for name in ("gone", "either"):
            (there.settings.pipelines_dir / f"{name}.yaml").unlink()
    assert code == 0
    listed = {each["image"]: each for each in said["images"]}
    assert listed[TAG]["state"] == "present"
    assert listed[TAG]["size_bytes"] > 2**20
    assert set(listed[TAG]["pipelines"]) == {"crossroads", *OTHERS}
    assert listed["nobody/has:this"] | {"state": "missing", "size_bytes": None} == listed["nobody/has:this"]
    assert listed["a/tracker:${VERSION:-1}"]["state"] == "varies"


def test_a_pipeline_that_is_there_is_never_written_over(there: Installation, in_shell: Callable[..., Any]) -> None:
    starter = there.settings.pipelines_dir / "crossroads.yaml"
    before = starter.read_text()
    jar = str(contract_jar(there.folder / "again"))
    words = ("images", "java", "--jar", jar, "--tag", TAG)
    code, problem = in_shell(*words, "--pipeline-out", str(starter))
    assert (code, problem["what"]) == (5, "the file exists already; it was not changed")
    assert starter.read_text() == before
    code, problem = in_shell(*words, "--pipeline-out", str(there.folder / "No Name.yaml"))
    assert (code, problem["error"]) == (3, "PipelineInvalid")
    assert not (there.folder / "No Name.yaml").exists()


def test_without_docker_it_says_so(
    there: Installation, in_shell: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{there.folder}/nobody.sock")
    jar = str(contract_jar(there.folder / "without"))
    for words in (("images", "list"), ("images", "java", "--jar", jar, "--tag", TAG)):
        code, problem = in_shell(*words)
        assert (code, problem["what"]) == (9, "no Docker daemon was found")


def log(winslow: Winslow, project: str) -> list[str]:
    return [line.text for line in winslow.project(project).logs("act").lines()]


def java_of(task_id: str) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["name"])
        if process.info["name"] == "java" and environ(process).get("WINSLOW_TASK_ID") == task_id
    ]
