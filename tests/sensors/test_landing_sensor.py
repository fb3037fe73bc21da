"""Films that land in watched places become projects that run, each exactly once, whatever is killed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from films import film
from installation import Installation, kill, until

from winslow_dagster import Winslow
from winslow_dagster.projects.dagster_api.client import DagsterClient
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.ingest.table import Landing, Landings

ROOT = Path(__file__).parents[2]
SHORT = """
name: short
command: [sh, -c]
inputs: {video: {kind: video, suffixes: [.mp4]}}
stages:
  - name: copy
    args: ['cp "$WINSLOW_RESOURCES_DIR"/video/* "$WINSLOW_OUTPUT_DIR"; echo "$SITE" > "$WINSLOW_OUTPUT_DIR/site"']
    env: {SITE: nowhere}
"""
GATED = """
name: gated
command: [sh, -c]
inputs: {video: {kind: video, suffixes: [.mp4]}}
stages:
  - name: wait
    args: ['until [ -e "$GATE" ]; do sleep 0.1; done']
"""
SETTLE_S = 2


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path, None, {"short": SHORT, "gated": GATED})
    (tmp_path / "place").mkdir()
    made.settings.home.mkdir()
    yield made
    made.down()


def watch(there: Installation, **fields: object) -> None:
    said = {"name": "drone", "place": str(there.folder / "place"), "pipeline": "short", "settle": SETTLE_S} | fields
    there.settings.watch_file.write_text(json.dumps({"watches": [said]}))


def landed(there: Installation) -> dict[str, Landing]:
    database = Database(there.settings.database_url)
    try:
        return Landings(database).of_watch("drone")
    finally:
        database.close()


def states(there: Installation) -> Counter[str]:
    return Counter(landing.state for landing in landed(there).values())


def assert_each_once(there: Installation, names: set[str]) -> None:
    """Every film has one project with one run, in our tables and in Dagster's, and there are no others."""
    found = landed(there)
    with Winslow(there.settings) as winslow:
        projects = {project.name for project in winslow.context.records.projects()}
        inputs = [given for name in projects for given in winslow.context.records.inputs(name)]
        runs = {name: [run.run_id for run in winslow.context.records.runs(name)] for name in projects}
        dagster = {
            name: [run.run_id for run in DagsterClient(there.settings.address).runs(project=name)] for name in projects
        }
    assert set(found) == names
    assert Counter(Path(given.original_path).name for given in inputs) == Counter(names)
    assert len(projects) == len(names)
    assert {name: len(noted) for name, noted in runs.items()} == dict.fromkeys(projects, 1)
    assert dagster == runs
    assert {landing.project: [landing.run_id] for landing in found.values()} == runs


def test_a_film_that_grows_starts_once_it_is_steady_and_bad_files_are_set_aside(there: Installation) -> None:
    watch(there, project="{parent}-{stem}", env={"SITE": "ulm"}, tags=["drone"])
    there.up()
    place, whole = there.folder / "place", film(b"frames" * 1000)
    (place / "short.mp4").write_bytes(whole[:-3])
    (place / "notes.mp4").write_text("these are notes")
    (place / "notes.txt").write_text("these are notes")
    with (place / "ulm.mp4").open("wb") as copy:
        for byte in range(0, len(whole), len(whole) // 8):
            copy.write(whole[byte : byte + len(whole) // 8])
            copy.flush()
            time.sleep(1)  # the copy is slow: that it is, is what this is about
            assert landed(there).get("ulm.mp4") is None or landed(there)["ulm.mp4"].state == "growing"
    until(lambda: states(there) == {"taken": 1, "set_aside": 3}, "the film was taken, and what is bad was set aside")
    found = landed(there)
    assert {name: landing.reason for name, landing in found.items()} == {
        "ulm.mp4": "",
        "short.mp4": f"it breaks off: {len(whole)} bytes were announced, and there are {len(whole) - 3}; "
        "expected a video",
        "notes.mp4": "it does not begin as a video does; expected a video",
        "notes.txt": "its name ends in .txt; expected .mp4",
    }
    assert_each_once_but_for_bad_ones(there, found)


def assert_each_once_but_for_bad_ones(there: Installation, found: dict[str, Landing]) -> None:
    with Winslow(there.settings) as winslow:
        assert [project.name for project in winslow.context.records.projects()] == ["place-ulm"]
        project = winslow.context.records.project("place-ulm")
        (run,) = winslow.context.records.runs("place-ulm")
        until(lambda: winslow.project("place-ulm").status().state == "succeeded", "the film ran")
    assert (project.env, project.tags, project.created_by) == ({"SITE": "ulm"}, ("drone",), "landing sensor")
    assert (run.run_id, run.via, run.requested_by) == (found["ulm.mp4"].run_id, "sensor", "landing sensor")
    assert run.reason == f"{there.folder / 'place' / 'ulm.mp4'} landed"


@pytest.mark.slow
def test_killed_at_every_step_each_film_is_one_project_with_one_run(there: Installation) -> None:
    there.up()
    own = there.folder / "watch-of-the-killed.yaml"
    place = there.folder / "place"
    said = {"name": "drone", "place": str(place), "pipeline": "short", "settle": 0, "at_once": 1000}
    own.write_text(json.dumps({"watches": [said]}))
    program = [sys.executable, str(ROOT / "tests" / "projects" / "kill_taking_in.py"), str(place), str(own)]
    environment = there.environment | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said_of_it = json.loads(done.stdout)
    assert said_of_it["kills"] > 15
    assert {"unseen", "growing", "waiting", "taking", "launching"} <= set(said_of_it["states"])
    assert_each_once(there, {path.name for path in place.iterdir()})


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_thirty_films_become_thirty_projects_though_daemon_and_code_server_are_killed(
    there: Installation, record_property: Callable[[str, object], None]
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    watch(there, settle=0, at_once=100)
    there.up()
    names = {f"film-{number:02}.mp4" for number in range(30)}
    for name in names:
        (there.folder / f"place/.{name}").write_bytes(film(name.encode()))
        (there.folder / f"place/.{name}").rename(there.folder / "place" / name)
    killed = 0
    for enough in (1, 8, 16, 24):
        until(lambda enough=enough: begun(there) >= enough, f"{enough} films are begun", 200)
        time.sleep(chance.uniform(0, 0.5))  # the random moment itself
        victim = chance.choice([("daemon",), ("code-server",), ("daemon", "code-server")])
        killed += sum(kill(there.service(name)) for name in victim)
    record_property("killed", f"{killed}, seed {seed}")
    assert killed >= 3
    until(lambda: states(there) == {"taken": 30}, f"all films were taken in and ran (seed {seed})", 300)
    assert_each_once(there, names)


def begun(there: Installation) -> int:
    return sum(count for state, count in states(there).items() if state not in {"growing", "waiting"})


@pytest.mark.slow
def test_of_five_thousand_films_only_as_many_are_begun_as_may_be_at_once(there: Installation) -> None:
    gate = there.folder / "gate"
    watch(there, pipeline="gated", settle=0, at_once=3, env={"GATE": str(gate)})
    for number in range(5000):
        (there.folder / "place" / f"{number:04}.mp4").write_bytes(film(b"%d" % number))
    there.up()
    until(lambda: states(there) == {"running": 3, "waiting": 4997}, "all are known, three are begun")
    with Winslow(there.settings) as winslow:
        assert len(winslow.context.records.projects()) == 3
    assert len(DagsterClient(there.settings.address).runs()) == 3
    gate.touch()
    until(lambda: states(there)["taken"] >= 6, "as runs end, others begin")
    assert states(there)["running"] <= 3
    assert len([run for run in DagsterClient(there.settings.address).runs() if not run.ended]) <= 3


@pytest.mark.s3
def test_a_film_that_lands_in_a_bucket_runs_from_where_it_landed(
    there: Installation, s3_bucket_url: str, s3_endpoint: str
) -> None:
    import boto3

    bucket = boto3.resource("s3", endpoint_url=s3_endpoint).Bucket(s3_bucket_url.removeprefix("s3://"))
    bucket.put_object(Key="in/Ulm Süd.mp4", Body=film(b"x" * 200_000))
    bucket.put_object(Key="in/short.mp4", Body=film()[:-1])
    there.use(WINSLOW_S3_ENDPOINT=s3_endpoint, **aws())
    watch(there, place=f"{s3_bucket_url}/in", at_once=2)
    there.up()
    until(lambda: states(there) == {"taken": 1, "set_aside": 1}, "the film ran")
    with Winslow(there.settings) as winslow:
        (given,) = winslow.context.records.inputs("Ulm-Sud")
        assert winslow.project("Ulm-Sud").status().state == "succeeded"
    assert given.original_path == f"{s3_bucket_url}/in/Ulm Süd.mp4"
    assert given.manifest.files[0].path == "Ulm Süd.mp4"
    assert list((there.settings.home / "incoming" / "landings").glob("*/")) == []


def aws() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
