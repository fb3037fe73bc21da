"""Runs programs of the system, and says in words why one failed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

from winslow_dagster.errors import EngineError, ServiceUnavailable

TIMEOUT_S = 60.0
LAST_LINES = 5
PACKAGES = {
    "munge": "munge",
    "munged": "munge",
    "scontrol": "slurm-client",
    "sinfo": "slurm-client",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "squeue": "slurm-client",
}
"""The Debian package of a program."""


def run(*words: str, timeout_s: float = TIMEOUT_S, environment: Mapping[str, str] | None = None) -> str:
    """The output of a program, without the space around it. Raises ServiceUnavailable if it is missing, EngineError."""
    try:
        done = subprocess.run(
            words,
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError as error:
        package = PACKAGES.get(words[0], words[0])
        raise ServiceUnavailable(
            f"{words[0]} is not installed", remedy=f"Install it: apt-get install {package}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"{words[0]} did not end within {timeout_s:g} s", where=" ".join(words)) from error
    if done.returncode != 0:
        last = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-LAST_LINES:])
        raise EngineError(last or f"exit code {done.returncode}", where=" ".join(words))
    return done.stdout.strip()


def is_there(program: str) -> bool:
    """Whether the program is installed, also where only root looks for it."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None
