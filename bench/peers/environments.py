"""Installs the peers, each in a virtual environment of its own, and runs them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "bench"
RUN_TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True)
class Peer:
    """`program` is a file of this directory; `requirements` are what pip installs for it."""

    name: str
    program: str
    requirements: tuple[str, ...]


PEERS = (
    Peer("luigi", "luigi_tasks.py", ("luigi==3.8.1",)),
    Peer("snakemake", "snakemake_rules.py", ("snakemake==9.27.1",)),
    Peer("prefect", "prefect_flow.py", ("prefect==3.9.1",)),
    Peer("stock_dagster", "stock_dagster.py", ("dagster==1.13.27", "dagster-docker==0.29.27")),
)


class PeerUnavailable(Exception):
    """A peer could not be installed, or failed; the text says why."""


def seconds_of(peer: Peer, image: str, stages: int, cpus: float) -> float:
    """How long the peer takes for this many stages, as it says itself. Raises PeerUnavailable."""
    python = interpreter_of(peer)
    program = str(Path(__file__).with_name(peer.program))
    with tempfile.TemporaryDirectory(prefix="winslow-bench-") as directory:
        try:
            done = subprocess.run(
                [str(python), program, image, str(stages), f"{cpus:g}"],
                cwd=directory,
                capture_output=True,
                text=True,
                timeout=RUN_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PeerUnavailable(f"it had not finished after {error.timeout:g} s") from error
    if done.returncode != 0:
        raise PeerUnavailable(f"it exited with {done.returncode}: {last_line(done.stderr or done.stdout)}")
    return float(last_line(done.stdout))


def interpreter_of(peer: Peer) -> Path:
    """The interpreter of the peer's environment, which is made once. Raises PeerUnavailable."""
    wanted = " ".join((*peer.requirements, sys.version))
    directory = CACHE / f"{peer.name}-{sha256(wanted.encode()).hexdigest()[:12]}"
    python = directory / "bin" / "python"
    complete = directory / "complete"
    if complete.exists():
        return python
    print(f"bench: installing {' '.join(peer.requirements)}", file=sys.stderr)
    shutil.rmtree(directory, ignore_errors=True)
    venv.create(directory, with_pip=True)
    installed = subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.requirements],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode != 0:
        raise PeerUnavailable(f"it cannot be installed: {last_line(installed.stderr)}")
    complete.touch()
    return python


def last_line(text: str) -> str:
    """The last line that is not empty."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
