"""Docker's daemon is killed and started again while a project runs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker_daemon import STARTABLE, Daemon, own_daemon
from installation import Installation, until
from nine_stages import AFTER, pipeline_yaml

from winslow_dagster import Winslow

pytestmark = [*STARTABLE, pytest.mark.slow]

LETS_CONTAINERS_RUN, ENDS_CONTAINERS = ("--live-restore",), ()
"""Options of the daemon's next start."""


@pytest.fixture
def daemon(test_image: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    with own_daemon(test_image) as daemon:
        monkeypatch.setenv("DOCKER_HOST", daemon.host)
        yield daemon


def test_a_project_goes_on_through_restarts_of_the_docker_daemon(
    daemon: Daemon, tmp_path: Path, test_image: str
) -> None:
    installation = Installation(tmp_path, test_image, {"chaos": pipeline_yaml("chaos", test_image)})
    installation.up()
    try:
        with Winslow(installation.settings) as winslow:
            winslow.run("chaos", project="ulm")
            for stage, options in (("one", LETS_CONTAINERS_RUN), ("join", ENDS_CONTAINERS)):
                until(lambda stage=stage: begun(winslow, stage), f"{stage} has begun")
                daemon.kill()
                daemon.start(*options)
            until(lambda: winslow.status("ulm").state in {"succeeded", "failed"}, "the run has ended")
            attempts = winslow.project("ulm").history()
            outcomes = {stage: [each.outcome for each in attempts if each.stage == stage] for stage in AFTER}
            assert winslow.status("ulm").state == "succeeded", outcomes
    finally:
        installation.down()
    assert outcomes.pop("join") in (["succeeded"], ["lost", "succeeded"])
    assert set(map(tuple, outcomes.values())) == {("succeeded",)}, outcomes
    assert subprocess.run(["docker", "ps", "-aq"], capture_output=True, check=True).stdout == b""


def begun(winslow: Winslow, stage: str) -> bool:
    return any(each.stage == stage for each in winslow.project("ulm").history())
