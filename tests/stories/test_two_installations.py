"""Two installations on one machine: each command reaches its own services, and never believes the other's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from installation import Installation, until

pytestmark = pytest.mark.slow

GATED = """
name: gated
command: [sh, -c]
stages:
  - name: work
    args: ['until [ -e "$GATE" ]; do sleep 0.1; done']
"""


def winslow(installation: Installation, *arguments: str, **variables: str) -> Any:
    """What the command prints, as JSON; an error is printed as JSON, too."""
    program = [sys.executable, "-c", "from winslow_dagster.cli import main; main()", *arguments, "--json"]
    environment = installation.environment | variables
    ran = subprocess.run(program, capture_output=True, text=True, check=False, env=environment)
    return json.loads(ran.stdout or ran.stderr)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Installation, Installation]]:
    both = []
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        both.append(Installation(tmp_path / name, None, {"gated": GATED}))
    ours, theirs = both
    try:
        ours.up()
        theirs.up()
        yield ours, theirs
    finally:
        ours.down()
        theirs.down()


def test_no_command_depends_on_the_port_in_its_shell_or_on_who_listens_there(
    two: tuple[Installation, Installation], tmp_path: Path
) -> None:
    ours, theirs = two
    gate = tmp_path / "gate"
    their_port = {"WINSLOW_PORT": str(theirs.port)}
    started = winslow(ours, "run", "gated", "--project", "ulm", "--env", f"GATE={gate}", "--detach", **their_port)
    until(lambda: winslow(ours, "status", "ulm", **their_port)["state"] == "running", "it runs")
    assert winslow(ours, "resume", "ulm", "--detach", **their_port)["error"] == "ProjectConflict"
    (attempt,) = winslow(ours, "history", "ulm", **their_port)["attempts"]
    assert (attempt["run_id"], attempt["outcome"]) == (started["run_id"], None)
    gate.touch()
    until(lambda: winslow(ours, "status", "ulm", **their_port)["state"] == "succeeded", "it succeeds")
    assert [run.run_id for run in ours.dagster().runs()] == [started["run_id"]]
    assert theirs.dagster().runs() == ()


def test_without_services_of_its_own_a_command_takes_no_others(two: tuple[Installation, Installation]) -> None:
    ours, theirs = two
    ours.down()
    refused = winslow(ours, "run", "gated", "--project", "ulm", "--detach", WINSLOW_PORT=str(theirs.port))
    assert refused["what"] == "the services are not running, so nothing would look after a detached run"
    taken = winslow(ours, "run", "gated", "--project", "ulm", WINSLOW_PORT=str(theirs.port))
    assert f"port {theirs.port} is in use" in taken["remedy"]
    assert theirs.dagster().runs() == ()
