"""What stages need goes away while a project runs: Docker's daemon, and the store."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from docker_daemon import STARTABLE, Daemon, own_daemon
from installation import Installation, until
from nine_stages import AFTER, pipeline_yaml
from s3_server import S3Server

from winslow_dagster import Winslow
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.storage.factory import open_store

AWAY_S = float(os.environ.get("WINSLOW_CHAOS_OUTAGE_S", "0"))
"""How much longer the store stays away once the status has said so. `make chaos`: two minutes."""
FILES = 40
STORES = f"""
name: stores
command: [sh, -c]
stages:
  - name: make
    args:
      - 'echo once >> "$COUNT"; i=0; while [ $i -lt {FILES} ]; do head -c 20000 /dev/urandom > "$WINSLOW_OUTPUT_DIR/$i";
        i=$((i+1)); done; until [ -e "$GATE" ]; do sleep 0.1; done'
  - name: use
    args: ['ls "$WINSLOW_INPUT_DIR/make" > "$WINSLOW_OUTPUT_DIR/names"']
"""


@pytest.fixture
def daemon(tmp_path: Path, test_image: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    folder = tmp_path / "docker"
    folder.mkdir()
    with own_daemon(folder, test_image) as daemon:
        monkeypatch.setenv("DOCKER_HOST", daemon.host)
        yield daemon


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--live-restore",), marks=STARTABLE, id="that lets containers run"),
        pytest.param((), marks=STARTABLE, id="that ends containers"),
    ],
)
def test_a_project_goes_on_through_restarts_of_the_docker_daemon(
    daemon: Daemon, tmp_path: Path, test_image: str, options: tuple[str, ...]
) -> None:
    folder = tmp_path / "installation"
    folder.mkdir()
    installation = Installation(folder, test_image, {"chaos": pipeline_yaml("chaos", test_image)})
    installation.up()
    try:
        with Winslow(installation.settings) as winslow:
            winslow.run("chaos", project="ulm")
            for stage in ("one", "join"):
                until(lambda stage=stage: begun(winslow, stage), f"{stage} has begun")
                daemon.kill()
                daemon.start(*options)
            until(lambda: winslow.status("ulm").state in {"succeeded", "failed"}, "the run has ended")
            attempts = winslow.project("ulm").history()
            outcomes = {stage: [each.outcome for each in attempts if each.stage == stage] for stage in AFTER}
            assert winslow.status("ulm").state == "succeeded", outcomes
    finally:
        installation.down()
    assert all(each.count("succeeded") == 1 for each in outcomes.values()), outcomes
    lost = {outcome for each in outcomes.values() for outcome in each} - {"succeeded"}
    assert lost <= (set() if options else {"lost"}), outcomes
    assert subprocess.run(["docker", "ps", "-aq"], capture_output=True, check=True).stdout == b""


def begun(winslow: Winslow, stage: str) -> bool:
    return any(each.stage == stage for each in winslow.project("ulm").history())


@pytest.mark.slow
@pytest.mark.s3
def test_a_store_that_goes_away_while_outputs_are_stored_is_waited_for(
    tmp_path: Path, s3_server: S3Server, s3_store_url: str
) -> None:
    count, gate = tmp_path / "count", tmp_path / "gate"
    installation = Installation(tmp_path, None, {"stores": STORES})
    installation.use(WINSLOW_STORE_URL=f"{s3_store_url}/stores", WINSLOW_S3_ENDPOINT=s3_server.endpoint)
    installation.up()
    try:
        with Winslow(installation.settings) as winslow:
            winslow.run("stores", project="ulm", env={"COUNT": str(count), "GATE": str(gate)})
            until(count.exists, "the stage has begun")
            s3_server.freeze()
            gate.touch()
            until(lambda: phase(installation) == "storing", "a request is under way")
            s3_server.stop()
            until(lambda: "waiting for the store: " in reason(winslow), "the status says what it waits for")
            Event().wait(AWAY_S)  # the outage itself
            assert "waiting for the store: " in reason(winslow)
            s3_server.start()
            until(lambda: winslow.status("ulm").state in {"succeeded", "failed"}, "the run has ended")
            attempts = winslow.project("ulm").history()
            assert [(each.stage, each.outcome) for each in attempts] == [("make", "succeeded"), ("use", "succeeded")]
            outputs = winslow.project("ulm").outputs()
    finally:
        installation.down()
    assert count.read_text() == "once\n"
    assert len(outputs["make"].files) == FILES
    store = open_store(installation.settings.store_url, s3_server.endpoint)
    names = store.read_range(outputs["use"], outputs["use"].files[0], 0, outputs["use"].size_bytes).decode().split()
    assert set(names) == {file.path for file in outputs["make"].files}


def phase(installation: Installation) -> str:
    (path,) = installation.settings.node.tasks_dir.glob("*.make.1")
    status = TaskDirectory(path).status()
    return status.phase if status else ""


def reason(winslow: Winslow) -> str:
    (make, _) = winslow.status("ulm").stages
    return make.reason
