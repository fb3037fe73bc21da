"""docs/python.md works as it stands, where no services run before."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
FENCED = re.compile(
    r"(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)


@pytest.mark.slow
def test_the_example_runs_and_leaves_no_services_behind(tmp_path: Path) -> None:
    page = PAGE.read_text().partition("## Over HTTP")[0]
    blocks = {match["language"]: match for match in FENCED.finditer(page)}
    pipeline = tmp_path / blocks["yaml"]["file"]
    pipeline.parent.mkdir()
    pipeline.write_text(blocks["yaml"]["code"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"WINSLOW_STAGE_MODE": "process", "WINSLOW_PORT": str(port)}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WINSLOW_")}
    ran = subprocess.run(
        [sys.executable, "-c", blocks["python"]["code"]],
        cwd=tmp_path,
        env=inherited | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "every stage has run, and nothing is out of date" in ran.stdout
    assert "WINSLOW_RESULT: vehicles=2" in ran.stdout
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
