"""Films in watched folders become projects that run, each exactly once, whatever is killed."""

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
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.ingest import IngestFile
from winslow_dagster.projects.ingest.table import IngestTable

pytestmark = pytest.mark.slow

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
STABLE_FOR_S = 2


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path, None, {"short": SHORT, "gated": GATED})
    (tmp_path / "source").mkdir()
    installation.settings.home.mkdir()
    yield installation
    installation.down()


def watch(installation: Installation, **changed: object) -> None:
    fields = {
        "name": "drone",
        "source": str(installation.folder / "source"),
        "pipeline": "short",
        "stable_for": STABLE_FOR_S,
    } | changed
    installation.settings.watch_file.write_text(json.dumps({"watches": [fields]}))


def ingested(installation: Installation) -> dict[str, IngestFile]:
    database = Database(installation.settings.database_url)
    try:
        return IngestTable(database).of_watch("drone")
    finally:
        database.close()


def states(installation: Installation) -> Counter[str]:
    """Counted by the database: this is asked again and again while thousands of films are ingested."""
    database = Database(installation.settings.database_url)
    try:
        return Counter(IngestTable(database).counts().get("drone", {}))
    finally:
        database.close()


def assert_each_once(installation: Installation, names: set[str]) -> None:
    """Every film has one project with one run, in our tables and in Dagster's, and there are no others."""
    found = ingested(installation)
    with Winslow(installation.settings) as winslow:
        projects = {project.name for project in winslow.context.records.projects()}
        inputs = [version for name in projects for version in winslow.context.records.inputs(name)]
        runs = {name: [run.run_id for run in winslow.context.records.runs(name)] for name in projects}
        dagster = {name: [run.run_id for run in installation.dagster().runs(project=name)] for name in projects}
    assert set(found) == names
    assert Counter(Path(version.original_path).name for version in inputs) == Counter(names)
    assert len(projects) == len(names)
    assert {name: len(noted) for name, noted in runs.items()} == dict.fromkeys(projects, 1)
    assert dagster == runs
    assert {file.project: [file.run_id] for file in found.values()} == runs


def test_a_growing_film_starts_once_it_is_stable_and_invalid_files_are_rejected(installation: Installation) -> None:
    watch(installation, project="{parent}-{stem}", env={"SITE": "ulm"}, tags=["drone"])
    installation.up()
    source, whole = installation.folder / "source", film(b"frames" * 1000)
    (source / "short.mp4").write_bytes(whole[:-3])
    (source / "notes.mp4").write_text("these are notes")
    (source / "notes.txt").write_text("these are notes")
    with (source / "ulm.mp4").open("wb") as copy:
        for byte in range(0, len(whole), len(whole) // 8):
            copy.write(whole[byte : byte + len(whole) // 8])
            copy.flush()
            time.sleep(1)  # the copy is slow: that it is, is what this is about
            assert (
                ingested(installation).get("ulm.mp4") is None or ingested(installation)["ulm.mp4"].state == "receiving"
            )
    until(
        lambda: states(installation) == {"done": 1, "rejected": 3},
        "the film was ingested, and invalid files were rejected",
    )
    found = ingested(installation)
    assert {name: file.reason for name, file in found.items()} == {
        "ulm.mp4": "",
        "short.mp4": f"it is incomplete: it should have {len(whole)} bytes, and has {len(whole) - 3}; expected a video",
        "notes.mp4": "it does not start like a video; expected a video",
        "notes.txt": "its name ends in .txt; expected .mp4",
    }
    assert_each_once_but_for_rejected_ones(installation, found)


def assert_each_once_but_for_rejected_ones(installation: Installation, found: dict[str, IngestFile]) -> None:
    with Winslow(installation.settings) as winslow:
        assert [project.name for project in winslow.context.records.projects()] == ["source-ulm"]
        project = winslow.context.records.project("source-ulm")
        (run,) = winslow.context.records.runs("source-ulm")
        until(lambda: winslow.project("source-ulm").status().state == "succeeded", "the film ran")
    assert (project.env, project.tags, project.created_by) == ({"SITE": "ulm"}, ("drone",), "ingest sensor")
    assert (run.run_id, run.via, run.requested_by) == (found["ulm.mp4"].run_id, "sensor", "ingest sensor")
    assert run.reason == f"{installation.folder / 'source' / 'ulm.mp4'} was ingested"


def test_killed_at_every_step_each_film_is_one_project_with_one_run(installation: Installation) -> None:
    installation.up()
    own = installation.folder / "watch-of-the-killed.yaml"
    source = installation.folder / "source"
    fields = {"name": "drone", "source": str(source), "pipeline": "short", "stable_for": 0, "max_concurrent": 1000}
    own.write_text(json.dumps({"watches": [fields]}))
    program = [sys.executable, str(ROOT / "tests" / "projects" / "kill_ingest.py"), str(source), str(own)]
    environment = installation.environment | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["kills"] > 15
    assert {"unseen", "receiving", "ready", "importing", "starting"} <= set(report["states"])
    assert_each_once(installation, {path.name for path in source.iterdir()})


@pytest.mark.timeout(600)
def test_thirty_films_become_thirty_projects_though_daemon_and_code_server_are_killed(
    installation: Installation, record_property: Callable[[str, object], None]
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    watch(installation, stable_for=0, max_concurrent=100)
    installation.up()
    names = {f"film-{number:02}.mp4" for number in range(30)}
    for name in names:
        (installation.folder / f"source/.{name}").write_bytes(film(name.encode()))
        (installation.folder / f"source/.{name}").rename(installation.folder / "source" / name)
    killed = 0
    for enough in (1, 8, 16, 24):
        until(lambda enough=enough: begun(installation) >= enough, f"{enough} films are begun", 200)
        time.sleep(chance.uniform(0, 0.5))  # the random moment itself
        victim = chance.choice([("daemon",), ("code-server",), ("daemon", "code-server")])
        killed += sum(kill(installation.service(name)) for name in victim)
    record_property("killed", f"{killed}, seed {seed}")
    assert killed >= 3
    until(lambda: states(installation) == {"done": 30}, f"all films were ingested and ran (seed {seed})", 300)
    assert_each_once(installation, names)


def begun(installation: Installation) -> int:
    return sum(count for state, count in states(installation).items() if state not in {"receiving", "ready"})


def test_of_five_thousand_films_only_max_concurrent_are_begun(installation: Installation) -> None:
    gate = installation.folder / "gate"
    watch(installation, pipeline="gated", stable_for=0, max_concurrent=3, env={"GATE": str(gate)})
    for number in range(5000):
        (installation.folder / "source" / f"{number:04}.mp4").write_bytes(film(b"%d" % number))
    installation.up()
    until(lambda: states(installation) == {"running": 3, "ready": 4997}, "all are known, three are begun")
    with Winslow(installation.settings) as winslow:
        assert len(winslow.context.records.projects()) == 3
    assert len(installation.dagster().runs()) == 3
    gate.touch()
    until(lambda: states(installation)["done"] >= 6, "as runs end, others begin")
    assert states(installation)["running"] <= 3
    assert len([run for run in installation.dagster().runs() if not run.ended]) <= 3


@pytest.mark.s3
def test_a_film_in_a_bucket_is_ingested_from_there(
    installation: Installation, s3_bucket_url: str, s3_endpoint: str
) -> None:
    import boto3

    bucket = boto3.resource("s3", endpoint_url=s3_endpoint).Bucket(s3_bucket_url.removeprefix("s3://"))
    bucket.put_object(Key="in/Ulm Süd.mp4", Body=film(b"x" * 200_000))
    bucket.put_object(Key="in/short.mp4", Body=film()[:-1])
    installation.use(WINSLOW_S3_ENDPOINT=s3_endpoint, **aws())
    watch(installation, source=f"{s3_bucket_url}/in", max_concurrent=2)
    installation.up()
    until(lambda: states(installation) == {"done": 1, "rejected": 1}, "the film ran")
    with Winslow(installation.settings) as winslow:
        (version,) = winslow.context.records.inputs("Ulm-Sud")
        assert winslow.project("Ulm-Sud").status().state == "succeeded"
    assert version.original_path == f"{s3_bucket_url}/in/Ulm Süd.mp4"
    assert version.manifest.files[0].path == "Ulm Süd.mp4"
    assert list((installation.settings.home / "incoming" / "ingest").glob("*/")) == []


def aws() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
