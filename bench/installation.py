"""A Winslow installation for a benchmark: directory, port, services, and an image that does nothing."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from winslow_dagster.services import Services
from winslow_dagster.settings import Settings

IMAGE = "winslow-bench:1"
PROGRAMS = ("true", "sleep", "sh")


def bench_image() -> str:
    """An image with a static busybox; built once."""
    if subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False).returncode == 0:
        return IMAGE
    busybox = shutil.which("busybox")
    if busybox is None:
        sys.exit("the benchmark needs a static busybox; on Debian: apt-get install busybox-static")
    tree = io.BytesIO()
    with tarfile.open(fileobj=tree, mode="w") as tar:
        tar.add(busybox, "bin/busybox")
        for program in PROGRAMS:
            link = tarfile.TarInfo(f"bin/{program}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    subprocess.run(
        ["docker", "import", "--change", "ENV PATH=/bin", "-", IMAGE],
        input=tree.getvalue(),
        capture_output=True,
        check=True,
    )
    return IMAGE


def free_port() -> int:
    """A free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def winslow_home(pipelines: dict[str, str], more: dict[str, str] | None = None) -> Iterator[Settings]:
    """Settings of a fresh home with these pipeline files, and `more` variables; deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="winslow-bench-") as folder:
        directory = Path(folder) / "pipelines"
        directory.mkdir()
        for name, text in pipelines.items():
            (directory / f"{name}.yaml").write_text(text)
        environment = {
            "WINSLOW_HOME": f"{folder}/home",
            "WINSLOW_PIPELINES_DIR": str(directory),
            "WINSLOW_PORT": str(free_port()),
            "WINSLOW_STAGE_MODE": "docker",
            **(more or {}),
        }
        before = dict(os.environ)
        os.environ.update(environment)
        try:
            yield Settings.read(environment)
        finally:
            # The next benchmark of this process has other settings.
            os.environ.clear()
            os.environ.update(before)


@contextlib.contextmanager
def services(settings: Settings) -> Iterator[Services]:
    """Running services for these settings."""
    handle = Services(settings)
    with handle.for_a_while():
        yield handle
