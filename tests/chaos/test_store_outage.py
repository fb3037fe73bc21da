"""The store goes away while a stage's outputs are being stored."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event

import pytest
from installation import Installation, until
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
            assert "running: waiting for the store: " in winslow.project("ulm").outcome_of("make")
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
