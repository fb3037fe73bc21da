"""Calls of Slurm's commands. No shell is in between, so that an argument may hold anything."""

from __future__ import annotations

import os
import subprocess

from winslow_dagster.errors import EngineError, ServiceAway

TIMEOUT_S = 20.0
PASSED_ON = ("HOME", "LD_LIBRARY_PATH", "PATH", "SLURM_CONF", "TZ")
"""All variables that the commands get: some options have variables, and jobs would get the others."""
AWAY = (
    "Unable to contact slurm controller",
    "Unable to establish controller machine",
    "Socket timed out",
    "Connection refused",
    "Zero Bytes were transmitted or received",
    "Transport endpoint is not connected",
    "slurm_persist_conn_open",
    "Could not establish a configuration source",
)
"""What the commands say while the controller does not answer."""
UNSATISFIABLE = {
    "Requested node configuration is not available": "no node has all that it asks for at once",
    "Memory specification can not be satisfied": "no node has so much memory",
    "Invalid feature specification": "no node has its node tags",
    "Invalid generic resource (gres) specification": "no node has such GPUs",
    "CPU count per node can not be satisfied": "no node has so many CPUs",
}
"""Why Slurm refuses a job that a node yet to join might run."""
ENDED = ("Invalid job id specified", "Job/step already completing or completed")
REMEDIES = {
    "Invalid partition": "Set WINSLOW_SLURM_PARTITION to one of those that `sinfo` lists",
    "denied": "Make the user of the services an operator of Slurm, or its SlurmUser",
    "authentication": "Check munge: its key must be the same on all machines, and their clocks must agree",
    "Invalid account": "Check the account and the limits of the user of the services in Slurm",
    "QOS": "Check the account and the limits of the user of the services in Slurm",
}


class SlurmAway(EngineError, ServiceAway):
    """Slurm's controller does not answer now; the call can be repeated later."""


class SlurmRefused(EngineError):
    """Slurm refuses what it was asked. `waits_for` says what no node has yet; empty if waiting does not help."""

    def __init__(self, what: str, *, where: str = "Slurm", remedy: str = "", waits_for: str = "") -> None:
        self.waits_for = waits_for
        super().__init__(what, where=where, remedy=remedy)


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}


def cancel_job(job_id: str, *options: str) -> None:
    """Cancel a job, or send it what `options` say. Does nothing if it has ended. Raises as `slurm` does."""
    try:
        slurm("scancel", *options, job_id)
    except SlurmRefused as error:
        if not any(text in error.what for text in ENDED):
            raise


def slurm(command: str, *arguments: str, stdin: str = "") -> str:
    """What the command prints. Raises SlurmAway, SlurmRefused, EngineError if it is not installed."""
    try:
        done = subprocess.run(  # no shell
            [command, *arguments],
            input=stdin,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise EngineError(
            f"the command {command} was not found",
            where="Slurm",
            remedy="Install Slurm's commands on this machine; on Debian: apt-get install slurm-client",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SlurmAway(
            f"{command} has not answered within {TIMEOUT_S:g} s", where="Slurm", remedy="Check slurmctld"
        ) from error
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
    if any(text in said for text in AWAY):
        raise SlurmAway(
            "its controller does not answer", where="Slurm", remedy=f"Check slurmctld ({said.splitlines()[-1]})"
        )
    remedy = next((remedy for text, remedy in REMEDIES.items() if text.lower() in said.lower()), "")
    waits_for = next((reason for text, reason in UNSATISFIABLE.items() if text in said), "")
    reason = said.removeprefix(f"{command}: error: ").replace("\n", "; ")
    raise SlurmRefused(f"{command}: {reason}", remedy=remedy, waits_for=waits_for)
