"""Builds of the stage image in one directory come one after the other."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = ("Dockerfile", ".dockerignore", "pyproject.toml", "README.md", "requirements.lock", "slim_image.py")
# It has every image, of no bytes; a build ends with success once it is told so.
DOCKER = """#!/bin/sh
case "$1" in
    build) echo begun >>builds; read -r _ <finish ;;
    image) echo 0 ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The script with its sources, beside a `docker` that waits."""
    script = tmp_path / "deploy" / "images" / "build.sh"
    script.parent.mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "images" / "build.sh", script)
    sources = tmp_path / "tracker_application"
    (sources / "src").mkdir(parents=True)
    for name in COPIED:
        shutil.copy(ROOT / "tracker_application" / name, sources)
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    os.mkfifo(tmp_path / "finish")
    return tmp_path


def test_a_second_build_waits_for_the_end_of_the_first(clone: Path) -> None:
    environment = os.environ | {"PATH": f"{clone / 'bin'}:{os.environ['PATH']}"}

    def build() -> subprocess.Popen[str]:
        command = ["deploy/images/build.sh"]
        return subprocess.Popen(command, cwd=clone, env=environment, stderr=subprocess.PIPE, text=True)

    def said(process: subprocess.Popen[str]) -> str:
        assert process.stderr is not None
        return process.stderr.readline()

    with ExitStack() as until_end:
        first = until_end.enter_context(build())
        until_end.callback(first.kill)
        assert said(first).startswith("images: building winslow/tracker-application:")
        second = until_end.enter_context(build())
        until_end.callback(second.kill)
        assert said(second) == f"images: another build runs in {clone}: waiting for its end\n"
        (clone / "finish").write_text("\n")
        assert first.wait() == 0
        assert said(second).startswith("images: building winslow/tracker-application:")
        (clone / "finish").write_text("\n")
        assert second.wait() == 0
        assert (clone / "builds").read_text() == "begun\n" * 2
