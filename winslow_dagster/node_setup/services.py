"""Starts and stops munged and slurmd: through systemd where that runs, otherwise directly."""

from __future__ import annotations

import os
import shlex
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from winslow_dagster.errors import EngineError
from winslow_dagster.node_setup import places
from winslow_dagster.node_setup.programs import run

STOPS_WITHIN_S = 30.0
LOOK_EVERY_S = 0.1
SLURMD_UNIT = """\
# Written by `winslow node join`.
[Service]
ExecStart=
ExecStart=/usr/sbin/slurmd -D {options}
Restart=on-failure
RestartSec=5
"""
REAPER_UNIT = """\
[Unit]
Description=Remove containers of Slurm jobs that have ended
[Service]
Type=oneshot
ExecStart={words}
"""
REAPER_TIMER = """\
[Unit]
Description=Remove containers of Slurm jobs that have ended, every minute
[Timer]
OnBootSec=60
OnUnitInactiveSec=60
[Install]
WantedBy=timers.target
"""


def has_systemd() -> bool:
    """Whether systemd runs this machine."""
    return Path("/run/systemd/system").is_dir()


def restart_munged() -> None:
    """Let munged use the key on the disk. Raises EngineError, ServiceUnavailable."""
    if has_systemd():
        run("systemctl", "enable", "munge")
        run("systemctl", "restart", "munge")
        return
    stop_daemon("munged")
    places.MUNGE_SOCKET.unlink(missing_ok=True)
    run("runuser", "-u", "munge", "--", "/usr/sbin/munged")


def restart_slurmd(options: Sequence[str], node_dir: Path) -> str:
    """Start slurmd with these options, also after each boot. Returns what was done. Raises EngineError."""
    if has_systemd():
        places.put(places.SLURMD_UNIT, slurmd_unit(options), 0o644)
        places.put(places.REAPER_UNIT, reaper_unit(node_dir), 0o644)
        places.put(places.REAPER_TIMER, REAPER_TIMER, 0o644)
        run("systemctl", "daemon-reload")
        run("systemctl", "enable", "slurmd", "winslow-reaper.timer")
        run("systemctl", "restart", "slurmd", "winslow-reaper.timer")
        return "slurmd runs, and starts with the machine"
    stop_daemon("slurmd")
    run("/usr/sbin/slurmd", *options)
    return (
        "slurmd runs. This machine has no systemd: when it starts, run "
        f"`runuser -u munge -- munged` and `slurmd {shlex.join(options)}`, "
        f"and `{places.EPILOG} reap {node_dir}` every minute"
    )


def slurmd_unit(options: Sequence[str]) -> str:
    """What is added to the distribution's unit of slurmd."""
    return SLURMD_UNIT.format(options=command_words(options))


def reaper_unit(node_dir: Path) -> str:
    """The unit that removes containers of ended jobs."""
    return REAPER_UNIT.format(words=command_words((str(places.EPILOG), "reap", str(node_dir))))


def command_words(words: Sequence[str]) -> str:
    """The words of a command in a unit of systemd, which has rules of its own for them."""
    escaped = (word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$") for word in words)
    return " ".join(f'"{word}"' for word in escaped)


def stop_services() -> None:
    """Stop slurmd, now and after each boot. Munged goes on: other programs may use it."""
    if has_systemd():
        with suppress(EngineError):  # Not all of them need to be there.
            run("systemctl", "disable", "--now", "slurmd", "winslow-reaper.timer")
        return
    stop_daemon("slurmd")


def daemon(name: str) -> psutil.Process | None:
    """The running daemon of this name that sees this machine's own network: those of containers are not meant."""
    return next(_daemons(name), None)


def stop_daemon(name: str) -> None:
    """End the daemon, if it runs. Raises EngineError."""
    for process in _daemons(name):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOPS_WITHIN_S)
            except psutil.TimeoutExpired as error:
                raise EngineError(
                    f"{name} did not end within {STOPS_WITHIN_S:g} s", where=f"process {process.pid}"
                ) from error


def wait_for(path: Path, within_s: float) -> bool:
    """Whether the path appears in time."""
    deadline_s = time.monotonic() + within_s
    while not path.exists():
        if time.monotonic() >= deadline_s:
            return False
        time.sleep(LOOK_EVERY_S)
    return True


def _daemons(name: str) -> Iterator[psutil.Process]:
    here = _spaces(os.getpid())
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.name() == name and _spaces(process.pid) == here:
                yield process


def _spaces(pid: int) -> tuple[Path, Path]:
    spaces = Path(f"/proc/{pid}/ns")
    return (spaces / "net").readlink(), (spaces / "mnt").readlink()
