"""The database goes away for a while, at every point of a run: nothing fails, is lost or runs twice."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from installation import Installation, until
from postgres_server import PostgresServer

from winslow_dagster import Winslow
from winslow_dagster.errors import ServiceUnavailable

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

TWO = """
name: two
command: [sh, -c]
stages:
  - name: first
    args: ['echo once >> "$COUNT"; until [ -e "$GATE" ]; do sleep 0.1; done; echo made > "$WINSLOW_OUTPUT_DIR/thing"']
  - name: second
    args: ['cat "$WINSLOW_INPUT_DIR/first/thing" > "$WINSLOW_OUTPUT_DIR/thing"']
"""


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    # Not in pytest's directory: the server's user may not enter that.
    directory = Path(tempfile.mkdtemp(prefix="winslow-outage-", dir="/var/tmp"))
    directory.chmod(0o711)
    started = PostgresServer(directory / "postgres")
    yield started
    started.remove()
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()


@pytest.fixture
def installation(tmp_path: Path, server: PostgresServer) -> Iterator[Installation]:
    made = Installation(tmp_path, None, {"two": TWO}, database_url=server.url)
    made.up()
    yield made
    made.down()


def results(installation: Installation) -> list[Path]:
    return list(installation.settings.node.tasks_dir.glob("*/result.json"))


def state(winslow: Winslow) -> str:
    try:
        return winslow.status("ulm").state
    except ServiceUnavailable:
        return "away"


@pytest.mark.parametrize("point", ["as the run starts", "as a stage ends"])
def test_a_run_goes_on_after_an_outage_of_the_database(
    installation: Installation, server: PostgresServer, tmp_path: Path, point: str
) -> None:
    gate, count = tmp_path / "gate", tmp_path / "count"
    with Winslow(installation.settings) as winslow:
        run = winslow.run("two", project="ulm", env={"GATE": str(gate), "COUNT": str(count)})
        if point == "as a stage ends":
            until(count.exists, "the stage has begun")
        server.stop()
        gate.touch()
        assert state(winslow) == "away"
        if point == "as a stage ends":
            until(lambda: results(installation), "the stage has ended")
            until(lambda: not installation.run_worker(), "its run worker has ended with the database")
        server.start()
        until(lambda: state(winslow) == "succeeded", "the run has succeeded", within_s=400)
        attempts = winslow.project("ulm").history()
        assert [(each.stage, each.outcome) for each in attempts] == [("first", "succeeded"), ("second", "succeeded")]
        assert {each.run_id for each in attempts} == {run.run_id}
    assert count.read_text() == "once\n"


def test_the_daemon_waits_for_the_database_before_it_does_anything(server: PostgresServer, tmp_path: Path) -> None:
    environment = {**os.environ, "WINSLOW_HOME": str(tmp_path), "WINSLOW_DATABASE_URL": server.url}
    environment["DAGSTER_HOME"] = str(tmp_path)
    server.stop()
    with subprocess.Popen(
        [sys.executable, "-m", "winslow_dagster.services.daemon", str(tmp_path / "missing.yaml")],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as daemon:
        assert daemon.stderr is not None
        assert daemon.stderr.readline().startswith("waiting for the database: ")
        server.start()
        assert "missing.yaml" in daemon.communicate()[1], "it has gone on to what it was started for"
    assert daemon.returncode == 1
