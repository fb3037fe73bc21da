"""A stage that runs as a process finds no password of Winslow's processes, which have the same user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from installation import free_port

pytestmark = pytest.mark.slow

PASSWORD = "sentinel-password-5b1e"  # of nothing
SPY = """
name: spy
command: [sh, -c]
stages:
  - name: look
    args:
      - |
        cd "$WINSLOW_OUTPUT_DIR"
        echo "$PPID" > parent
        cat /proc/[0-9]*/environ > environments 2> refusals
        cat /proc/[0-9]*/cmdline > commands 2>> refusals
        true
"""


def test_a_stage_cannot_read_the_environment_of_winslows_own_processes(tmp_path: Path) -> None:
    pipelines = tmp_path / "pipelines"
    pipelines.mkdir()
    (pipelines / "spy.yaml").write_text(SPY)
    # Root without its capabilities is a user like others.
    ordinary = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.getuid() == 0 else ()
    done = subprocess.run(
        [*ordinary, str(Path(sys.executable).parent / "winslow"), "run", "spy", "--project", "p"],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "WINSLOW_HOME": str(tmp_path / "home"),
            "WINSLOW_PIPELINES_DIR": str(pipelines),
            "WINSLOW_PORT": str(free_port()),
            "WINSLOW_STAGE_MODE": "process",
            "AWS_SECRET_ACCESS_KEY": PASSWORD,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (found,) = (tmp_path / "home" / "store").rglob("environments")
    environments = found.read_bytes()
    assert b"WINSLOW_TASK_ID=" in environments, "it can read those of processes that hide nothing, such as its own"
    commands = found.with_name("commands").read_text(errors="replace")
    for part in (
        "winslow_dagster.console",
        "services.daemon",
        "fork_server",
        "services.code_server",
        "stages.runner.service",
    ):
        assert part in commands, "all of them were running"
    assert PASSWORD.encode() not in environments
