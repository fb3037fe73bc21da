"""The web interface: pages with many projects and beside open logs, a first visit, and what it costs when idle."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import math
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from multiprocessing.synchronize import Event
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from bench.figure import Figure
from bench.installation import free_port, services, winslow_home
from bench.projects import ATTEMPTS, PIPELINE, PROJECTS, fill
from winslow_dagster.console.cookies import cookie_name
from winslow_dagster.pipelines import keep_version
from winslow_dagster.projects.accounts.login import Browser
from winslow_dagster.projects.dagster_api.serving import state_file
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.installation import Installation
from winslow_dagster.services import Services
from winslow_dagster.settings import Settings
from winslow_dagster.storage import layout
from winslow_dagster.storage.manifest import Manifest

ROUNDS = 60
READERS = 10
SENDERS = 10
SENT_BYTES = 1 << 30
PART = bytes(SENT_BYTES // 2)
SENT_NAME = base64.b64encode(b"film.mp4").decode()
LOG_LINES = 300_000
IDLE_S = 30
GOAL_SERVED_S = 0.15
GOAL_BESIDE_S = 0.25
GOAL_IDLE_PERCENT = 4.0
GOAL_FIRST_VISIT_BYTES = 150_000
GOAL_ON_SCREEN_S = 1.5
TICKS = 20
TICK_S = 2.3
"""Not a multiple of any interval at which something looks for changes."""
CHATTY = f"name: chatty\ncommand: [sh, -c]\nstages:\n  - {{name: talk, args: ['seq {LOG_LINES}']}}\n"
# A stage that reports the time of day, in milliseconds of the last 100 s: a page shows six digits.
TICKING = rf"""
name: ticking
command: [sh, -c]
stages:
  - name: tick
    args: ['for each in $(seq {TICKS}); do echo "at $(($(date +%s%3N) % 100000))"; sleep {TICK_S}; done']
    progress: [{{subject: clock, pattern: 'at (?P<current>\d+)'}}]
"""
# Collects how old each time is when the page first shows it.
WATCH = """() => {
    window.ages = []
    let last = ""
    const look = () => {
        const shown = document.querySelector(".node[data-stage=tick]")?.textContent.match(/clock (\\d+)/)?.[1]
        if (!shown || shown === last) return
        last = shown
        window.ages.push((Date.now() - Number(shown) + 100000) % 100000)
    }
    new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true})
}"""


@dataclass(frozen=True)
class Server:
    """A web server, and the cookie of a person who is logged in."""

    address: str
    cookie: tuple[str, str]

    @classmethod
    def of(cls, settings: Settings, address: str) -> Server:
        """With a new administrator."""
        with Installation(settings, Services(settings)) as installation:
            accounts = installation.accounts
            accounts.add("bench", role="admin")
            opened = accounts.login.by_link(accounts.login_link("bench"), Browser("127.0.0.1"))
            return cls(address, (cookie_name(installation, secure=False), opened.key))

    @property
    def headers(self) -> dict[str, str]:
        """What a browser sends."""
        return {"Cookie": "=".join(self.cookie)}

    @property
    def browser_cookie(self) -> dict[str, str]:
        """As playwright takes it."""
        name, value = self.cookie
        return {"name": name, "value": value, "url": self.address}


Load = Callable[[Server, Event, int], None]
"""What a person does until told to stop. The number tells people apart."""


def figures() -> Iterator[Figure]:
    """Every figure of this benchmark."""
    yield from pages_with_many_projects()
    with winslow_home({"chatty": CHATTY, "ticking": TICKING}) as settings:
        home = settings.model_copy(update={"stage_mode": "process"})
        with services(home) as running:
            yield from figures_of_services(home, running)


def figures_of_services(home: Settings, running: Services) -> Iterator[Figure]:
    """What needs everything that `winslow up` starts."""
    server = Server.of(home, running.address)
    yield idle(home, server)
    yield first_visit(server)
    yield from on_screen(server, home, running)
    with Installation(home, running) as winslow:
        winslow.run("chatty", "loud").wait()
    yield pages_beside(f"{READERS}_log_readers", server, (read_log, READERS))
    yield pages_beside(f"{READERS}_log_readers_and_{SENDERS}_uploads", server, (read_log, READERS), (send, SENDERS))


def pages_with_many_projects() -> Iterator[Figure]:
    """The list of ten thousand projects, and the page of one with five hundred attempts, as pages and as JSON."""
    paths = {
        f"page_list_of_{PROJECTS}_projects": "/projects",
        f"page_filtered_list_of_{PROJECTS}_projects": "/projects?filter=state%3Afailed+tag%3Acrossroads",
        f"rest_list_of_{PROJECTS}_projects": "/api/v1/projects",
        f"page_project_with_{ATTEMPTS}_attempts": "/projects/p00000",
        f"rest_project_with_{ATTEMPTS}_attempts": "/api/v1/projects/p00000",
    }
    with tempfile.TemporaryDirectory(prefix="winslow-bench-") as folder, full_server(Path(folder)) as server:
        for name, path in paths.items():
            served_s = percentile(timed(server, path, ROUNDS), 95)
            yield Figure(f"{name}_p95", served_s, "s", f"<= {GOAL_SERVED_S}", served_s <= GOAL_SERVED_S)


def idle(home: Settings, server: Server) -> Figure:
    """Processor time of all services together, with one browser that waits for changes."""
    with listening(server):
        time.sleep(IDLE_S / 3)  # what the start has left to do
        before_s, began = cpu_s(home), time.monotonic()
        time.sleep(IDLE_S)
        percent = 100 * (cpu_s(home) - before_s) / (time.monotonic() - began)
    return Figure(
        "idle_with_one_browser", percent, "% of a core", f"<= {GOAL_IDLE_PERCENT}", percent <= GOAL_IDLE_PERCENT
    )


def first_visit(server: Server) -> Figure:
    """What a browser receives until the first page is complete, with an empty cache."""
    name, unit, goal = "first_visit", "bytes", f"<= {GOAL_FIRST_VISIT_BYTES}"
    chromium = shutil.which("chromium")
    if chromium is None:
        return Figure(name, None, unit, goal, None)
    from playwright.sync_api import sync_playwright

    received: list[float] = []
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium) as browser:
        page = browser.new_page()
        page.context.add_cookies([server.browser_cookie])  # type: ignore[list-item]
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
        # Not `networkidle`: the page keeps a stream open.
        page.goto(server.address, wait_until="load")
        page.wait_for_timeout(2000)
    return Figure(name, sum(received), unit, goal, sum(received) <= GOAL_FIRST_VISIT_BYTES)


def on_screen(server: Server, home: Settings, running: Services) -> Iterator[Figure]:
    """How long after a stage has reported its progress the open page of the project shows it."""
    unit, goal = "s", f"<= {GOAL_ON_SCREEN_S}"
    chromium = shutil.which("chromium")
    if chromium is None:
        yield Figure("stage_to_screen_median", None, unit, goal, None)
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium) as browser:
        page = browser.new_page()
        page.context.add_cookies([server.browser_cookie])  # type: ignore[list-item]
        with Installation(home, running) as winslow:
            run = winslow.run("ticking", "clock")
            page.goto(f"{server.address}/projects/clock")
            page.evaluate(WATCH)
            run.wait()
        ages_s = [age / 1000 for age in page.evaluate("window.ages")]
    if len(ages_s) < TICKS / 2:
        raise RuntimeError(f"the page showed {len(ages_s)} of {TICKS} changes")
    for name, percent in (("median", 50), ("p95", 95)):
        age_s = percentile(ages_s, percent)
        yield Figure(f"stage_to_screen_{name}", age_s, unit, goal, age_s <= GOAL_ON_SCREEN_S)


def pages_beside(name: str, server: Server, *loads: tuple[Load, int]) -> Figure:
    """Other pages, while several people do each of these as fast as they can."""
    spawn = multiprocessing.get_context("spawn")
    stop = spawn.Event()
    # In processes of their own: the pages' times are not to contain what these do with their answers.
    people = [spawn.Process(target=do_at_once, args=(load, count, server, stop)) for load, count in loads]
    for each in people:
        each.start()
    try:
        times = [
            each for path in ("/", "/projects", "/projects/loud", "/audit") for each in timed(server, path, ROUNDS)
        ]
    finally:
        stop.set()
        for each in people:
            each.join()
    if any(each.exitcode for each in people):
        raise RuntimeError("what the pages were measured beside has failed")
    served_s = percentile(times, 99)
    return Figure(f"pages_beside_{name}_p99", served_s, "s", f"<= {GOAL_BESIDE_S}", served_s <= GOAL_BESIDE_S)


def do_at_once(load: Load, count: int, server: Server, stop: Event) -> None:
    """Do the same so many times at once, until told to stop."""
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(lambda number: load(server, stop, number), range(count)))


def read_log(server: Server, stop: Event, number: int) -> None:
    """Page through the log, from another place than the other readers, until told to stop."""
    get = getter(server)
    first = 1 + number * LOG_LINES // READERS
    while not stop.is_set():
        shown = json.loads(get(f"/api/v1/projects/loud/stages/talk/log?first={first}"))
        first = 1 if first + len(shown["lines"]) >= LOG_LINES else first + len(shown["lines"])


def send(server: Server, stop: Event, number: int) -> None:
    """Begin an upload, send half of it as a browser does, in one part, and cancel it; until told to stop."""
    parts = urlsplit(server.address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    common = {**server.headers, "Origin": server.address, "Tus-Resumable": "1.0.0"}

    def ask(method: str, path: str, body: bytes = b"", **headers: str) -> http.client.HTTPResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {**common, **named})
        answer = connection.getresponse()
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise RuntimeError(f"{method} {path} answered {answer.status}: {answer.read().decode()}")
        answer.read()
        return answer

    while not stop.is_set():
        name = base64.b64encode(f"{number}-{time.monotonic_ns()}.mp4".encode()).decode()
        told = f"filename {SENT_NAME},name {name}"
        begun = ask("POST", "/api/v1/uploads", Upload_Length=str(SENT_BYTES), Upload_Metadata=told)
        path = begun.headers["Location"]
        ask("PATCH", path, PART, Upload_Offset="0", Content_Type="application/offset+octet-stream")
        ask("DELETE", path)


@contextlib.contextmanager
def full_server(folder: Path) -> Iterator[Server]:
    """A web server on its own whose tables are full. Dagster knows no run of them."""
    environment = environment_of(folder)
    pipelines = folder / "pipelines"
    (pipelines / "nine.yaml").write_text(PIPELINE)
    settings = Settings.read(environment)
    with contextlib.closing(ProjectRecords.open(settings.database_url)) as records:
        fill(records, keep_version(pipelines / "nine.yaml", settings.versions_dir))
        # The page of the project looks at what its stages have stored, which is nothing.
        for attempt in records.attempts("p00000"):
            address = attempt.output_address or ""
            for path in (layout.tree_key(address), layout.manifest_key(address)):
                (folder / "store" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "store" / layout.tree_key(address)).mkdir(exist_ok=True)
            empty = Manifest(address=address, files=()).model_dump_json()
            (folder / "store" / layout.manifest_key(address)).write_text(empty)
    with web_server(environment) as (server, _):
        yield server


def environment_of(folder: Path) -> dict[str, str]:
    """Settings of a home without services, whose Dagster has no code location."""
    (folder / "pipelines").mkdir()
    (folder / "dagster").mkdir()
    (folder / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (folder / "dagster" / "workspace.yaml").write_text("load_from: []\n")
    return {
        "DAGSTER_HOME": str(folder / "dagster"),
        "WINSLOW_HOME": str(folder),
        "WINSLOW_PIPELINES_DIR": str(folder / "pipelines"),
        "WINSLOW_PORT": str(free_port()),
    }


@contextlib.contextmanager
def web_server(environment: dict[str, str]) -> Iterator[tuple[Server, int]]:
    """A web server with these settings, and its process id."""
    settings = Settings.read(environment)
    command = [sys.executable, "-m", "winslow_dagster.console"]
    with subprocess.Popen(command, env={**os.environ, **environment}) as process:
        try:
            until_answering(settings.address, process)
            yield Server.of(settings, settings.address), process.pid
        finally:
            process.terminate()


def until_answering(address: str, process: subprocess.Popen[bytes]) -> None:
    """Wait for the first answer."""
    while process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError):
            getter(Server(address, ("", "")))("/healthz")
            return
        time.sleep(0.1)
    raise RuntimeError("the web server exited")


@contextlib.contextmanager
def listening(server: Server) -> Iterator[None]:
    """A browser that follows what changes."""
    parts = urlsplit(server.address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    connection.request("GET", "/live", headers=server.headers)
    answer = connection.getresponse()
    if answer.status != HTTPStatus.OK:
        raise RuntimeError(f"/live answered {answer.status}")
    threading.Thread(target=drain, args=(answer,), daemon=True).start()
    try:
        yield
    finally:
        connection.close()


def drain(answer: http.client.HTTPResponse) -> None:
    """Read until the connection closes."""
    with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
        while answer.readline():
            pass


def getter(server: Server) -> Callable[[str], bytes]:
    """Fetches paths over one connection, as a browser does."""
    parts = urlsplit(server.address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)

    def get(path: str) -> bytes:
        connection.request("GET", path, headers=server.headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != HTTPStatus.OK:
            raise RuntimeError(f"{path} answered {answer.status}")
        return body

    return get


def timed(server: Server, path: str, rounds: int) -> list[float]:
    """Seconds until each answer was complete, after a few that warm up."""
    get = getter(server)
    for _ in range(5):
        get(path)
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        get(path)
        times.append(time.perf_counter() - began)
    return times


def percentile(times: list[float], percent: int) -> float:
    """The smallest time that so many percent do not exceed."""
    return sorted(times)[math.ceil(len(times) * percent / 100) - 1]


def cpu_s(home: Settings) -> float:
    """Processor time that the supervisor and everything below it have used."""
    supervisor = psutil.Process(json.loads(state_file(home).read_text())["pid"])
    total = 0.0
    for process in (supervisor, *supervisor.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total
