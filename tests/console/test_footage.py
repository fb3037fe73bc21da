"""Footage over HTTP and from the shell: facts, exact frames, filmstrips, and pictures of any size."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from in_process import Server, in_process
from numbered_films import HEIGHT, WIDTH, number_of, write_film
from PIL import Image

from winslow_dagster.cli import main

FRAMES = 60
FILMED = """\
name: filmed
inputs:
  video: {kind: video}
  plan: {kind: image}
  points: {kind: file}
stages:
  - {name: look, command: ["true"]}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("footage")
    film = write_film(folder / "film.mp4", FRAMES)
    plan = folder / "plan.tiff"
    Image.linear_gradient("L").resize((400, 200)).save(plan)
    points = folder / "points.bin"
    points.write_bytes(b"no film")
    with in_process(folder / "home") as started:
        (started.installation.settings.pipelines_dir / "filmed.yaml").write_text(FILMED)
        started.installation.accounts.add("anna", role="viewer")
        started.installation.create("filmed", "ulm", {"video": film, "plan": plan, "points": points})
        started.installation.pool.add(film, "film")
        yield started


def get(server: Server, name: str, **query: object) -> httpx.Response:
    return server.get(f"/api/v1/projects/ulm/{name}?{urlencode(query)}", headers=server.token("anna"))


def test_the_facts_of_a_film_and_of_a_picture(server: Server) -> None:
    film, plan = (get(server, "footage", file=f"input:{name}").json() for name in ("video", "plan"))
    assert (film["codec"], film["width"], film["height"], film["frame_count"]) == ("h264", WIDTH, HEIGHT, FRAMES)
    assert (film["kind"], film["browser_plays"], film["duration_s"]) == ("video", True, pytest.approx(FRAMES / 25))
    assert (plan["kind"], plan["width"], plan["height"], plan["browser_plays"]) == ("picture", 400, 200, False)


def test_a_frame_by_index_and_by_time_says_which_it_is(server: Server) -> None:
    by_index = get(server, "frames", file="input:video", index=37)
    by_time = get(server, "frames", file="input:video", time_s=37 / 25 + 0.03, width=128)
    assert [number_of(each.content) for each in (by_index, by_time)] == [37, 37]
    assert by_time.headers["Frame-Index"] == by_index.headers["Frame-Index"] == "37"
    assert float(by_index.headers["Frame-Time"]) == pytest.approx(37 / 25)
    assert by_index.headers["Content-Type"] == "image/jpeg"


def test_an_answer_is_kept_for_ever_if_its_address_names_the_content(server: Server) -> None:
    version = get(server, "footage", file="input:video").json()["version"]
    named, unnamed = (get(server, "frames", file="input:video", index=1, version=each) for each in (version, ""))
    assert "immutable" in named.headers["Cache-Control"]
    assert "no-cache" in unnamed.headers["Cache-Control"]


def test_a_filmstrip_says_which_frames_it_shows(server: Server) -> None:
    answer = get(server, "filmstrip", file="input:video", count=5, width=64)
    indices = [int(each) for each in answer.headers["Frame-Indices"].split(",")]
    strip = Image.open(io.BytesIO(answer.content))
    assert (indices[0], indices[-1], len(indices)) == (0, FRAMES - 1, 5)
    assert strip.size == (5 * 64, 16)
    refined = get(server, "filmstrip", file="input:video", first=10, last=12, count=12, width=256)
    assert refined.headers["Frame-Indices"] == "10,11,12"
    tile = Image.open(io.BytesIO(refined.content)).crop((WIDTH, 0, 2 * WIDTH, HEIGHT))
    content = io.BytesIO()
    tile.save(content, "PNG")
    assert number_of(content.getvalue()) == 11


def test_a_picture_that_no_browser_shows_is_shown_and_downscaled(server: Server) -> None:
    whole, small = (get(server, "pictures", file="input:plan", **width) for width in ({}, {"width": 100}))
    assert [Image.open(io.BytesIO(each.content)).size for each in (whole, small)] == [(400, 200), (100, 50)]
    assert whole.headers["Content-Type"] == "image/png"
    middle = get(server, "pictures", file="input:video")
    assert number_of(middle.content) == FRAMES // 2


def test_a_project_without_outputs_is_shown_by_the_middle_of_its_film(server: Server) -> None:
    answer = server.get("/projects/ulm/picture", headers=server.token("anna"))
    picture = Image.open(io.BytesIO(answer.content))
    assert (picture.size, number_of(answer.content)) == ((192, 48), FRAMES // 2)


@pytest.mark.parametrize(
    ("path", "query", "status", "text"),
    [
        ("footage", {"file": "input:points"}, 422, "it cannot be decoded"),
        ("frames", {"file": "input:video", "index": FRAMES}, 404, "there is no frame 60; expected 0 to 59"),
        ("frames", {"file": "input:video"}, 400, "either index or time_s"),
        ("frames", {"file": "input:video", "index": 1, "width": 0}, 422, "width"),
        ("frames", {"file": "input:nothing", "index": 1}, 404, "no input 'nothing'"),
        ("frames", {"file": "look/film.mp4", "index": 1}, 404, "no output file 'film.mp4'"),
        ("frames", {"file": "look", "index": 1}, 404, "names no file"),
        ("frames", {"file": "input:video/../../x", "index": 1}, 404, "no file"),
    ],
)
def test_what_is_not_there_is_said(server: Server, path: str, query: dict[str, object], status: int, text: str) -> None:
    answer = get(server, path, **query)
    assert (answer.status_code, text in answer.json()["detail"]) == (status, True), answer.text


def test_the_content_of_an_input_is_served_like_that_of_a_stage(server: Server) -> None:
    answer = server.send(
        "GET", "/api/v1/projects/ulm/files/input:video/film.mp4", headers={"Range": "bytes=4-7", **server.token("anna")}
    )
    assert (answer.status_code, answer.content) == (206, b"ftyp")
    assert answer.headers["Content-Type"] == "video/mp4"


def test_a_frame_is_saved_from_the_shell(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WINSLOW_HOME", str(server.installation.settings.home))
    monkeypatch.setenv("WINSLOW_PIPELINES_DIR", str(server.installation.settings.pipelines_dir))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="0"):
        main(["frame", "ulm", "input:video", "23", "--json"])
    assert json.loads(capsys.readouterr().out)["path"] == "frame-23.jpg"
    assert number_of((tmp_path / "frame-23.jpg").read_bytes()) == 23


def test_a_film_of_the_pool_has_the_same_frames(server: Server) -> None:
    def ask(what: str, method: str = "GET", **query: object) -> httpx.Response:
        address = f"/api/v1/pool/film/{what}?{urlencode(query)}"
        return server.send(method, address, headers=server.token("anna"))

    facts = ask("footage").json()
    of_project = get(server, "footage", file="input:video").json()
    assert {**facts, "file": ""} == {**of_project, "file": ""}
    assert facts["file"] == "pool:film/film.mp4"
    frame = ask("frames", path="film.mp4", index=37, version=facts["version"])
    assert (number_of(frame.content), frame.headers["Frame-Index"]) == (37, "37")
    assert "immutable" in frame.headers["Cache-Control"]
    first, _, last = ask("filmstrip", count=3, width=64).headers["Frame-Indices"].split(",")
    assert (first, last) == ("0", str(FRAMES - 1))
    assert number_of(ask("picture").content) == FRAMES // 2
    assert ask("proxy").json()["state"] == "none"
    assert ask("frames").status_code == 400
    assert ask("frames", path="other.mp4", index=1).status_code == 404
