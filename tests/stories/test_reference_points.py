"""The shipped pipeline asks a person for reference points, and goes on with what was marked on its frame."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from installation import Installation, until

from winslow_dagster import Winslow
from winslow_dagster.cli.main import main
from winslow_dagster.errors import InputRejected
from winslow_dagster.projects.domain.actor import Actor

pytestmark = pytest.mark.slow

SHIPPED = Path(__file__).parents[2] / "pipeline_configs" / "traffic_analysis.yaml"
ASKING = "define_reference_points"
CHEAP = "estimate_camera"
# The file is about this frame: without it, the sharpest early one is taken.
FIRST_FRAME = {"extract_frame": {"env": {"REFERENCE_TIME_S": "0"}}}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("reference_points")
    made = Installation(folder, None, {"traffic_analysis": SHIPPED.read_text()})
    made.up()
    yield made
    made.down()


@pytest.fixture(scope="module")
def winslow(there: Installation) -> Iterator[Winslow]:
    with Winslow(there.settings, Actor("anna")) as api:
        yield api


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a rendered film, and what is true about it."""
    directory = tmp_path_factory.mktemp("film")
    tracker = Path(sys.executable).with_name("tracker")
    words = ["simulate", "--output", str(directory), "--seconds", "6", "--fps", "8", "--width", "1280"]
    subprocess.run([tracker, *words], check=True, capture_output=True)
    return directory


def marked(film: Path) -> list[dict[str, Any]]:
    """The simulation's own points, as a person marks them: counted from the corner of the picture."""
    points = json.loads((film / "reference_points.json").read_text())["points"]
    return [
        {"label": each["name"], "x": each["x_px"] + 0.5, "y": each["y_px"] + 0.5, "world": [each["x_m"], each["y_m"]]}
        for each in points
    ]


def made(winslow: Winslow, project: str, stage: str, path: str) -> Path:
    file = next(file for file in winslow.project(project).files(stage) if file.path == path)
    assert file.local_path is not None
    return file.local_path


@pytest.fixture
def in_shell(
    there: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run `winslow` with these words; gives its standard output."""
    for name in ("WINSLOW_HOME", "WINSLOW_PIPELINES_DIR", "WINSLOW_PORT", "WINSLOW_STAGE_MODE"):
        monkeypatch.setenv(name, there.environment[name])

    def run(*words: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
        return capsys.readouterr().out

    return run


def test_marked_points_give_the_same_camera_as_a_file_handed_over(
    winslow: Winslow, there: Installation, film: Path, in_shell: Callable[..., str]
) -> None:
    video = {"video": film / "video.mp4"}
    handed = video | {"reference_points": film / "reference_points.json"}
    with_file = winslow.run("traffic_analysis", "file", handed, stop_after=CHEAP)
    assert with_file.wait().state == "succeeded"

    status = winslow.run("traffic_analysis", "form", video, stop_after=CHEAP, settings=FIRST_FRAME).ended()
    assert status.state == "awaiting_input"
    (question,) = status.questions
    assert question.stage == ASKING
    assert question.message.startswith("mark stationary points on the ground in frame.jpg")
    assert question.form[0] | {"kind": "points", "image": "./frame.jpg", "min_count": 4} == question.form[0]
    until(lambda: not there.run_worker() and not there.stage_runner(), "a project that waits holds no process")

    shown = in_shell("answer", "form")
    assert f"{ASKING}: mark stationary points on the ground in frame.jpg" in " ".join(shown.split())
    assert f"winslow answer form {ASKING} --value points=" in " ".join(shown.split())
    (files,) = re.findall("^to see the pictures: .*winslow (files .*)$", shown, re.MULTILINE)
    listed = json.loads(in_shell(*files.split(), "--json"))["files"]
    paths = {each["path"]: Path(each["local_path"]) for each in listed}
    assert {"frame.jpg", "frame_with_points.jpg"} <= set(paths)
    assert paths["frame.jpg"].stat().st_size > 10_000
    has_run = {each["stage"] for each in json.loads(in_shell("files", "form", "--json"))["files"]}
    assert has_run == {"extract_frame"}, "what asked has not become an output"
    said = json.loads(in_shell("answer", "form", "--json"))
    assert [field["name"] for field in said["questions"][0]["form"]] == [field["name"] for field in question.form]

    form = winslow.project("form")
    with pytest.raises(InputRejected, match=r"points: point 1 is at .* expected a point inside the image of 1280x720"):
        form.answer(ASKING, {"points": [{**point, "x": 1280} for point in marked(film)]})
    nowhere = [{**point, "world": None} for point in marked(film)]
    run = form.answer(ASKING, {"points": nowhere})
    assert run is not None
    status = run.ended()
    assert status.state == "awaiting_input", "four points are there, and the stage finds out that none has metres"
    assert status.questions[0].message.startswith("the answer cannot be used: it gives no scale: only 0 of its")

    run = form.answer(ASKING, {"points": marked(film)})
    assert run is not None
    status = run.wait()
    assert status.state == "succeeded"
    assert status.stage("detect_vehicles").state == "pending", "the answer goes on with what the run was told"
    for stage, path in ((ASKING, "reference_points.json"), (CHEAP, "ground.json"), (CHEAP, "camera.csv")):
        assert made(winslow, "form", stage, path).read_text() == made(winslow, "file", stage, path).read_text()
    assert status.stage(CHEAP).results["height_m"]
    assert [(answer.stage, answer.version) for answer in form.answers()] == [(ASKING, 1), (ASKING, 2)]


def test_a_file_handed_over_goes_before_what_was_answered(winslow: Winslow, film: Path, tmp_path: Path) -> None:
    video = {"video": film / "video.mp4"}
    run = winslow.run("traffic_analysis", "later", video, stop_after=ASKING, settings=FIRST_FRAME)
    assert run.ended().state == "awaiting_input"
    later = winslow.project("later")
    answered = later.answer(ASKING, {"points": marked(film)[:-1]})
    assert answered is not None
    answered.wait()
    better = tmp_path / "better.json"
    better.write_bytes((film / "reference_points.json").read_bytes())
    later.redo(ASKING, inputs={"reference_points": better}, only=True).wait()
    written = json.loads(made(winslow, "later", ASKING, "reference_points.json").read_text())
    assert written["points"] == json.loads(better.read_text())["points"]

    again = later.redo("extract_frame", env={"REFERENCE_TIME_S": "2"}, stop_after=ASKING).wait()
    assert again.state == "succeeded", "a file says itself which frame it is about"
