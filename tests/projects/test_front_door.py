"""The front door: handed-in resources, one actor per call, many threads, and no lock while bytes are copied."""

from __future__ import annotations

import contextlib
import gc
import io
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from winslow_dagster.api import Winslow
from winslow_dagster.engines.memory import InMemoryEngine
from winslow_dagster.errors import InputRejected, NotFound, ProjectConflict
from winslow_dagster.projects.commands.attempt_address import AttemptAddress
from winslow_dagster.projects.dagster_api.client import DagsterClient
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.queue import QueueView
from winslow_dagster.projects.domain.views import ProjectQuery
from winslow_dagster.projects.inputs.uploads import InputStream
from winslow_dagster.projects.installation import Installation
from winslow_dagster.settings import Settings
from winslow_dagster.storage.factory import open_store

THREADS = 32
PIPELINE = """
name: counting
command: [sh, -c]
inputs:
  numbers: {kind: table, suffixes: [.csv]}
stages:
  - {name: count, args: ["true"]}
"""


class NoServices:
    """Services that are not running and cannot be started."""

    address = "http://127.0.0.1:9"

    def running(self) -> bool:
        return False

    @contextlib.contextmanager
    def for_a_while(self) -> Iterator[str]:
        raise AssertionError("nothing here may start services")
        yield self.address

    def dagster(self, _installation_id: str) -> DagsterClient:
        raise AssertionError("there is no web server")


@pytest.fixture
def installation(tmp_path: Path, database_url: str) -> Iterator[Installation]:
    pipelines = tmp_path / "pipelines"
    pipelines.mkdir()
    (pipelines / "counting.yaml").write_text(PIPELINE)
    settings = Settings.read(
        {
            "WINSLOW_HOME": str(tmp_path / "home"),
            "WINSLOW_PIPELINES_DIR": str(pipelines),
            "WINSLOW_DATABASE_URL": database_url,
        }
    )
    settings.home.mkdir()
    store = open_store((tmp_path / "elsewhere").as_uri())
    with Installation(settings, NoServices(), Actor("anna"), store=store, engine=InMemoryEngine()) as opened:
        yield opened


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.csv"
    path.write_text("a,b\n1,2\n")
    return path


def test_resources_that_are_handed_in_are_used(installation: Installation, numbers: Path, tmp_path: Path) -> None:
    installation.create("counting", "ulm", {"numbers": numbers})
    assert next((tmp_path / "elsewhere").rglob("numbers.csv")).read_text() == numbers.read_text()
    assert [node.name for node in installation.nodes()] == ["memory"]
    assert installation.queue.view() == QueueView(stopped="the services are not running")


def test_each_call_has_the_actor_it_names(installation: Installation, numbers: Path) -> None:
    installation.create("counting", "ulm", {"numbers": numbers})
    installation.acting_as(Actor("ben", via="console")).project("ulm").tag(["wet"])
    installation.project("ulm").note("looked at")
    actions = [(entry.action, entry.who) for entry in installation.audit("ulm")]
    assert actions == [("note", "anna"), ("tag", "ben"), ("create", "anna")]


def test_projects_are_found_by_tag_and_text_page_by_page(installation: Installation, numbers: Path) -> None:
    for number in range(5):
        tags = ["rain"] if number % 2 else ["sun"]
        installation.create("counting", f"ulm-{number}", {"numbers": numbers}, tags=tags)
    first = installation.find_projects(ProjectQuery(tags=("sun",), states=("idle",), descending=True, limit=2))
    assert ([each.project for each in first.projects], first.total) == (["ulm-4", "ulm-2"], 3)
    rest = installation.find_projects(ProjectQuery(tags=("sun",), descending=True, limit=2, offset=2))
    assert [each.project for each in rest.projects] == ["ulm-0"]
    assert installation.find_projects(ProjectQuery(texts=("RAIN",))).total == 2
    assert installation.find_projects(ProjectQuery(states=("running",))).total == 0


def test_a_closed_installation_is_freed_before_the_program_ends(tmp_path: Path) -> None:
    winslow = Winslow(Settings.read({"WINSLOW_HOME": str(tmp_path)}))
    winslow.close()
    gone = weakref.ref(winslow)
    del winslow
    gc.collect()
    assert gone() is None


def test_many_threads_share_one_installation(installation: Installation, numbers: Path) -> None:
    everybody_is_here = threading.Barrier(THREADS)

    def work(number: int) -> str:
        everybody_is_here.wait()
        mine = installation.acting_as(Actor(f"person-{number}"))
        project = mine.create("counting", f"project-{number}", {"numbers": numbers}, tags=["many"])
        project.note(f"note {number}")
        project.add_todo("look at it")
        assert mine.status(project.name).state == "idle"
        assert len(mine.projects()) >= 1
        return project.name

    with ThreadPoolExecutor(THREADS) as threads:
        names = set(threads.map(work, range(THREADS)))
    assert {summary.project for summary in installation.projects()} == names
    assert {(entry.project, entry.who) for entry in installation.audit()} == {
        (f"project-{number}", f"person-{number}") for number in range(THREADS)
    }
    assert {installation.project(name).notes() for name in names} == {f"note {number}" for number in range(THREADS)}


def test_nobody_waits_for_an_upload(installation: Installation, numbers: Path) -> None:
    started, go_on = threading.Event(), threading.Event()

    def upload(_name: str, _size_bytes: int) -> object:
        started.set()
        assert go_on.wait(60)
        return lambda _more_bytes: None

    with ThreadPoolExecutor(1) as thread:
        created = thread.submit(installation.create, "counting", "ulm", {"numbers": numbers}, upload=upload)
        assert started.wait(60)
        with installation.context.project_lock("ulm", "testing"):
            assert not created.done()
        with pytest.raises(ProjectConflict, match="there is no run to pause"):
            installation.acting_as(Actor("ben")).project("ulm").pause()
        go_on.set()
        created.result(60)
    assert [given.name for given in installation.status("ulm").inputs] == ["numbers"]


def test_an_upload_that_fails_leaves_nothing_in_the_store(
    installation: Installation, numbers: Path, tmp_path: Path
) -> None:
    def fail(_more_bytes: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        installation.create("counting", "ulm", {"numbers": numbers}, upload=lambda _name, _size_bytes: fail)
    assert installation.status("ulm").inputs == ()
    assert [path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file() and "ulm" in path.parts] == []


def test_a_stream_becomes_a_file_of_the_pool(installation: Installation, tmp_path: Path) -> None:
    added = installation.pool.add_stream("numbers.csv", io.BytesIO(b"a\n1\n"))
    assert (added.name, added.manifest.size_bytes, added.added_by) == ("numbers.csv", 4, "anna")
    project = installation.create("counting", "ulm", {"numbers": "pool:numbers.csv"})
    assert project.status().inputs[0].original_path == "pool:numbers.csv"
    assert [entry.action for entry in installation.audit()] == ["create", "pool_add"]
    assert list((tmp_path / "home" / "incoming").iterdir()) == []


def test_a_stream_becomes_an_input_once_it_has_been_checked(installation: Installation, tmp_path: Path) -> None:
    stream = InputStream("numbers.csv", io.BytesIO(b"a\n1\n"))
    project = installation.create("counting", "ulm", {"numbers": stream})
    (given,) = project.status().inputs
    assert (given.original_path, given.size_bytes) == ("numbers.csv", 4)
    with pytest.raises(InputRejected, match="it is not a text file"):
        installation.create("counting", "neu-ulm", {"numbers": InputStream("n.csv", io.BytesIO(b"a\0b"))})
    with pytest.raises(InputRejected, match=r"its name ends in \.mp4"):
        installation.create("counting", "alt-ulm", {"numbers": InputStream("n.mp4", io.BytesIO(b""))})
    assert list((tmp_path / "home" / "incoming").iterdir()) == []


@pytest.mark.parametrize("name", ["", "..", "a/b.csv"])
def test_a_stream_needs_a_plain_name(installation: Installation, name: str) -> None:
    with pytest.raises(InputRejected, match="is not a file name"):
        installation.pool.add_stream(name, io.BytesIO(b""))


def test_closing_frees_the_database_and_the_next_use_opens_it_again(installation: Installation, numbers: Path) -> None:
    installation.create("counting", "ulm", {"numbers": numbers})
    before = installation.context.records
    installation.close()
    assert installation.status("ulm").project == "ulm"
    assert installation.context.records is not before


def test_a_run_of_another_project_is_not_found(installation: Installation, numbers: Path) -> None:
    project = installation.create("counting", "ulm", {"numbers": numbers})
    with pytest.raises(NotFound, match="there is no run nothing"):
        project.run("nothing")


def test_an_attempt_is_named_by_project_stage_and_number_or_task_id() -> None:
    assert AttemptAddress.parse("ulm:count:2") == AttemptAddress("ulm", "count", "2")
    for text in ("ulm:count", "ulm::1", "a:b:c:d"):
        with pytest.raises(InputRejected, match="PROJECT:STAGE:ATTEMPT"):
            AttemptAddress.parse(text)
