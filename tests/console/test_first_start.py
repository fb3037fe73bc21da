"""What an installation without any project shows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from web_server import Console, serving

from winslow_dagster import Winslow
from winslow_dagster.defaults import default_file
from winslow_dagster.settings import Settings


def opened(console: Console) -> httpx.Client:
    return httpx.Client(
        base_url=console.address, headers={**console.cookie.header, "Origin": console.address}, timeout=60
    )


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    home = tmp_path_factory.mktemp("first") / "home"
    pipelines = {"WINSLOW_PIPELINES_DIR": str(home / "pipelines")}
    with serving(home, **pipelines) as console, opened(console) as client:
        (home / "pipelines").mkdir()
        yield client


@pytest.fixture
def pipelines(client: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Path:
    del client
    return next(tmp_path_factory.getbasetemp().glob("first*/home/pipelines"))


def test_the_first_page_leads_to_a_result_in_three_steps(client: httpx.Client, pipelines: Path) -> None:
    page = client.get("/").text
    assert page.count("<h3>") == 3
    assert "winslow demo" in page
    # Without its pipeline, the demo cannot run here.
    assert 'hx-post="/demo"' not in page
    shutil.copy(default_file("pipeline_configs") / "traffic_analysis.yaml", pipelines)
    assert 'hx-post="/demo"' in client.get("/").text
    (pipelines / "traffic_analysis.yaml").unlink()


def test_the_demo_without_its_pipeline_says_what_is_missing(client: httpx.Client) -> None:
    answer = client.post("/demo", headers={"HX-Request": "true"})
    assert answer.status_code == 404
    assert "there is no pipeline" in answer.headers["HX-Trigger"]


def test_a_list_without_projects_says_what_to_do_first(client: httpx.Client) -> None:
    page = client.get("/projects").text
    assert "There is no project yet" in page
    assert "No project matches" in client.get("/projects?filter=ulm").text
    assert client.get("/api/v1/counters").json()["needs_you"] == 0
    assert client.get("/api/v1/needs").json() == {"needs": [], "total": 0}


def test_what_is_no_act_or_has_no_project_is_refused(client: httpx.Client) -> None:
    assert client.post("/projects/acts", data={"act": "explode", "project": "a"}).status_code == 422
    assert client.post("/projects/acts", data={"act": "pause"}).status_code == 422
    answer = client.post("/projects/acts", data={"act": "pause", "project": "nobody"})
    assert answer.status_code == 204
    assert '"tone": "bad"' in answer.headers["HX-Trigger"]


def test_one_project_that_waits_ends_the_first_start(client: httpx.Client, pipelines: Path) -> None:
    (pipelines / "one.yaml").write_text("name: one\ncommand: [sh]\nstages: [{name: a}]\n")
    settings = Settings.read({"WINSLOW_HOME": str(pipelines.parent), "WINSLOW_PIPELINES_DIR": str(pipelines)})
    with Winslow(settings) as winslow:
        winslow.create("one", "ulm")
    page = client.get("/").text
    assert "Nothing waits for you" in page
    assert "Nothing runs" in page
    assert 'href="/projects/ulm"' in client.get("/projects").text
