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
from processes import running

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
ANOTHER_MACHINE = "https://winslow.example"
PUBLIC_IMAGE = "debian:bookworm-slim"
FENCED = re.compile(
    r"^(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)
DOORS = re.compile(r"(?:`|^ *)make ([a-z]+)\b", re.MULTILINE)


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


def blocks_with_image(document: Path, image: str) -> list[Block]:
    """The blocks, with this image in place of the public one, which a machine without a registry does not have."""
    return [block._replace(code=block.code.replace(PUBLIC_IMAGE, image)) for block in blocks(document)]


@pytest.fixture
def environment(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """An installation of its own whose services run, as after `make up`: one start serves all the blocks.

    The parameter is the mode of stages.
    """
    settings = {
        "WINSLOW_HOME": str(tmp_path / "home"),
        "WINSLOW_PIPELINES_DIR": str(tmp_path / "pipeline_configs"),
        "WINSLOW_PORT": str(free_port()),
        "WINSLOW_STAGE_MODE": request.param,
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WINSLOW_")}
    programs = Path(sys.executable).parent
    environment = inherited | settings | {"PATH": f"{programs}:{inherited['PATH']}"}
    command = [str(programs / "winslow"), "up", "--json"]
    with running(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as services:
        answer = "".join(iter(services.stdout.readline, "}\n")) + "}"
        assert json.loads(answer)["address"].endswith(settings["WINSLOW_PORT"])
        yield environment
        services.send_signal(signal.SIGINT)


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.parametrize("environment", ["docker", "process"], indirect=True)
def test_the_first_steps_work_in_containers_and_as_processes(
    tmp_path: Path, environment: dict[str, str], test_image: str
) -> None:
    assert PUBLIC_IMAGE in README.read_text()
    assert carried_out(blocks_with_image(README, test_image), tmp_path, environment) == {"bash", "python"}


@pytest.mark.slow
@pytest.mark.parametrize("environment", ["process"], indirect=True)
@pytest.mark.parametrize(("document", "languages"), [("docs/python.md", {"python"}), ("docs/projects.md", {"bash"})])
def test_files_commands_and_python_work_one_after_the_other(
    document: str, languages: set[str], tmp_path: Path, environment: dict[str, str]
) -> None:
    assert carried_out(blocks(ROOT / document), tmp_path, environment) == languages


def carried_out(instructions: list[Block], directory: Path, environment: dict[str, str]) -> set[str]:
    """Write the files and run the rest in the directory. Returns the languages of what ran."""
    run = {"bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
    done = set()
    for block in instructions:
        if ANOTHER_MACHINE in block.code:
            continue  # run by tests/console/test_client.py, on a server with a certificate
        if block.file is not None:
            path = directory / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code)
        elif block.language in run:
            command = [*run[block.language], block.code]
            ran = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
            assert ran.returncode == 0, f"{block.code}\n{ran.stdout}\n{ran.stderr}"
            done.add(block.language)
    return done
