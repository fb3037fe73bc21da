"""Proofs by munge, which every machine of a cluster has: who wrote a text, on one of them, within the last minutes.

A proof is encrypted with the cluster's key, and is accepted once.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from winslow_dagster.errors import EngineError, NotLoggedIn, ServiceAway

TIMEOUT_S = 10.0
DEFAULT_CONF = "/etc/slurm/slurm.conf"
SOCKET = re.compile(r"^\s*AuthInfo\s*=.*\bsocket=(?P<path>[^,\s]+)", re.MULTILINE | re.IGNORECASE)
OPENED = re.compile(r"STATUS: *(?P<status>[^\n]+)\nUID: *[^\n]*\((?P<uid>\d+)\)\n\n(?P<text>.*)", re.DOTALL)
"""What unmunge prints."""
AWAY = (6, 7)
"""Its exit codes while munge's daemon does not answer."""


class MungeAway(EngineError, ServiceAway):
    """The daemon of munge does not answer now; the call can be repeated later."""


def proof(text: str) -> str:
    """The proof that this user writes `text` now. Raises MungeAway, EngineError."""
    done = _run(["munge", f"--string={text}"])
    if done.returncode != 0:
        raise _away(done)
    return done.stdout.strip()


def require_proof(given: str, text: str) -> None:
    """Raise NotLoggedIn unless this user wrote `text` just now; also MungeAway, EngineError."""
    done = _run(["unmunge", "--keys=STATUS,UID"], given)
    if done.returncode in AWAY:
        raise _away(done)
    written = OPENED.fullmatch(done.stdout)
    if written is None:
        raise NotLoggedIn(f"the agent's proof is not one of munge: {done.stderr.strip()}", where=text)
    if done.returncode != 0:
        raise NotLoggedIn(f"the agent's proof is not accepted: {written['status']}", where=text)
    if int(written["uid"]) != os.geteuid() or written["text"] != text:
        raise NotLoggedIn("the agent's proof is of another user, or for another task", where=text)


def _run(command: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    socket = [f"--socket={path}"] if (path := _socket()) else []
    try:
        return subprocess.run(  # no shell
            [*command, *socket], input=stdin, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except FileNotFoundError as error:
        raise EngineError(
            f"the command {command[0]} was not found",
            where="munge",
            remedy="Install munge on this machine; on Debian: apt-get install munge",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise MungeAway(f"{command[0]} has not answered within {TIMEOUT_S:g} s", where="munge") from error


def _away(done: subprocess.CompletedProcess[str]) -> MungeAway:
    return MungeAway(done.stderr.strip() or f"exit code {done.returncode}", where="munge", remedy="Check munged")


def _socket() -> str:
    """Where Slurm finds munge's daemon; empty if that is the usual place."""
    try:
        conf = Path(os.environ.get("SLURM_CONF", DEFAULT_CONF)).read_text(encoding="utf-8")
    except OSError:
        return ""
    found = SOCKET.search(conf)
    return found["path"] if found else ""
