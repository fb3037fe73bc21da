"""What the documentation tells people to type works, in the order in which it stands there."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
FENCED = re.compile(
    r"^(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)
DOORS = re.compile(r"\bmake ([a-z]+)\b")


class Block(NamedTuple):
    """One fenced block; `file` is where it belongs when it is a file."""

    file: str | None
    language: str
    code: str


def blocks(document: Path) -> list[Block]:
    return [Block(*match.group("file", "language", "code")) for match in FENCED.finditer(document.read_text())]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_every_make_door_it_names_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(DOORS.findall(README.read_text()))
    assert {"demo", "up", "test"} <= named
    assert [door for door in named if not re.search(rf"^{door}:", makefile, re.MULTILINE)] == []


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An installation of its own whose services run, as after `make up`: one start serves all the blocks."""
    settings = {
        "WINSLOW_HOME": str(tmp_path / "home"),
        "WINSLOW_PIPELINES_DIR": str(tmp_path / "pipeline_configs"),
        "WINSLOW_PORT": str(free_port()),
        "WINSLOW_STAGE_MODE": "process",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WINSLOW_")}
    programs = Path(sys.executable).parent
    environment = inherited | settings | {"PATH": f"{programs}:{inherited['PATH']}"}
    command = [str(programs / "winslow"), "up", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as services:
        try:
            assert services.stdout is not None
            answer = "".join(iter(services.stdout.readline, "}\n")) + "}"
            assert json.loads(answer)["address"].endswith(settings["WINSLOW_PORT"])
            yield environment
        finally:
            services.send_signal(signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("document", "languages"),
    [("README.md", {"bash", "python"}), ("docs/python.md", {"python"}), ("docs/projects.md", {"bash"})],
)
def test_files_commands_and_python_work_one_after_the_other(
    document: str, languages: set[str], tmp_path: Path, environment: dict[str, str]
) -> None:
    run = {"bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
    done = set()
    for block in blocks(ROOT / document):
        if block.file is not None:
            path = tmp_path / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code)
        elif block.language in run:
            command = [*run[block.language], block.code]
            ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
            assert ran.returncode == 0, f"{block.code}\n{ran.stdout}\n{ran.stderr}"
            done.add(block.language)
    assert done == languages
