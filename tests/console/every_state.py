"""One installation with projects in every state, and browsers of people who look at it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import project_server
from installation import until
from project_server import Server

from winslow_dagster.projects.domain.actor import Role
from winslow_dagster.projects.domain.ingest import IngestFile
from winslow_dagster.projects.ingest.table import IngestTable

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

TRAFFIC = Path(__file__).parents[2] / "pipeline_configs" / "traffic_analysis.yaml"
BROKEN = "name: broken\nstages:\n  - name: one\n    arguments: [true]\n  - {name: two, after: [three]}\n"
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
SCHEMES = ("light", "dark")


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Server]:
    """The services with a project that succeeded, and others that run, failed, ask and are paused."""
    with project_server.running(folder) as server:
        pipelines = folder / "pipelines"
        (pipelines / TRAFFIC.name).write_bytes(TRAFFIC.read_bytes())
        (pipelines / "broken.yaml").write_text(BROKEN)
        winslow = server.winslow
        server.open_gate()
        winslow.run("steps", "finished", tags=["ulm", "summer 2026"]).ended()
        winslow.project("finished").resume().ended()
        server.shut_gate()
        for name in ("under-way", "halted"):
            winslow.run("steps", name, tags=["ulm"]).ended()
        winslow.run("failing", "failed-one").ended()
        winslow.run("asking", "asking-one").ended()
        watched(server)
        fill_pool(server, folder)
        winslow.create("steps", "gone").delete("a test film, <b>not</b> ours")
        under_way(server, "under-way")
        try:
            yield server
        finally:
            server.open_gate()  # no stage goes on after the tests


def watched(server: Server) -> None:
    """A watched folder that does not exist any more, and files that were found in it."""
    missing = server.place.folder / "camera"
    server.place.settings.watch_file.write_text(
        f"watches:\n  - {{name: camera, source: {missing}, pipeline: traffic_analysis}}\n"
    )
    at, states = datetime.now(UTC), ("done", "dismissed")
    found = [IngestFile(0, "camera", f"{each}.mp4", 7, "t", each, "", None, None, at, at, at) for each in states]
    IngestTable(server.winslow.context.records.database).apply(found, [])


def fill_pool(server: Server, folder: Path) -> None:
    """A table, a directory, and a deleted file."""
    pool, table = server.winslow.pool, folder / "counts.csv"
    table.write_text("time,cars\n1,2\n")
    frames = folder / "frames" / "day"
    frames.mkdir(parents=True)
    for name in ("one", "two"):
        (frames / f"{name}.txt").write_text(f"<b>{name}</b>")
    for name in ("counts", "old-counts"):
        pool.add(table, name)
    pool.add(frames.parent, "frames")
    pool.remove("old-counts")


def under_way(server: Server, name: str) -> None:
    """Returns once the project's stage `gate` runs. The project is paused before that stage, or is created."""
    if name not in {each.project for each in server.winslow.projects()}:
        server.winslow.run("steps", name).ended()
    server.winslow.project(name).resume()
    until(lambda: server.winslow.status(name).stage("gate").state == "running", f"the gate of {name} runs")


@contextlib.contextmanager
def person(
    browser: Browser, server: Server, role: Role = "admin", *, trusting: bool = False
) -> Iterator[BrowserContext]:
    """The browser of somebody with this role. A `trusting` one runs scripts that a page does not allow."""
    address = server.place.services.address
    width, height = SIZES["desktop"]
    with browser.new_context(
        base_url=address, viewport={"width": width, "height": height}, bypass_csp=trusting
    ) as context:
        context.add_cookies([server.place.cookie(role).of(address)])  # type: ignore[list-item]
        context.set_default_timeout(90_000)
        yield context


def photograph(page: Page, name: str) -> None:
    """Keep what the page looks like now."""
    if directory := os.environ.get("WINSLOW_TEST_SCREENSHOTS"):
        page.screenshot(path=f"{directory}/{name}.png", full_page=True)
