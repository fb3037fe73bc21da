"""Lets this machine join the cluster of an invitation, step by step. Each step can be repeated."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from winslow_dagster.defaults import default_file
from winslow_dagster.engines.container_gpus import ContainerGpus
from winslow_dagster.engines.slurm.messages import own_version
from winslow_dagster.engines.slurm.node_facts import NodeFacts
from winslow_dagster.errors import EngineError, ServiceUnavailable, SettingsInvalid
from winslow_dagster.node_setup import places, services
from winslow_dagster.node_setup.account import make_user
from winslow_dagster.node_setup.description import Description
from winslow_dagster.node_setup.invitation import Invitation, setting
from winslow_dagster.node_setup.programs import is_there, run
from winslow_dagster.node_setup.state import node_state

APT_TIMEOUT_S = 600.0
ANSWERS_WITHIN_S = 10.0
JOINS_WITHIN_S = 60.0
LOOK_EVERY_S = 0.2
MUNGE_STARTS_WITHIN_S = 10.0
OLDEST_BEHIND = 2
"""How many major versions a node's Slurm may be older than the control plane's."""
NEEDED = {"slurmd": "slurmd", "scontrol": "slurm-client", "munged": "munge"}
Say = Callable[[str], None]


def join(invitation: Invitation, machine: Description, node_dir: Path, found: ContainerGpus, say: Say) -> str:
    """Join, and return the state that Slurm gives the node. `say` gets each step.

    Raises EngineError, ServiceUnavailable or SettingsInvalid with what a person can do; joining again goes on.
    """
    machine = machine.checked()
    require_debian()
    refuse_other_cluster(invitation)
    require_version(invitation)
    say(install_packages())
    compare_versions(invitation.slurm_version, run("slurmd", "-V"))
    say(make_user(invitation))
    for line in container_lines(found, machine):
        say(line)
    changed = write_key(invitation)
    if changed or services.daemon("munged") is None:
        services.restart_munged()
    if not services.wait_for(places.MUNGE_SOCKET, MUNGE_STARTS_WITHIN_S):
        raise EngineError(
            "munged does not listen", where=str(places.MUNGE_SOCKET), remedy="See /var/log/munge/munged.log"
        )
    say("wrote munge's key" if changed else "munge has the cluster's key")
    write_configuration(invitation, machine, node_dir)
    say(f"wrote {places.SLURM_CONF}, {places.GRES_CONF} and {places.NODE_FILE}")
    reach_slurmctld(invitation)
    say(reach_control_plane(invitation))
    forget_old_description(machine)
    options = ("-Z", "-N", machine.name, "--conf", machine.slurmd_conf())
    say(services.restart_slurmd(options, node_dir))
    return wait_until_known(machine.name)


def require_debian(os_release: Path = Path("/etc/os-release")) -> None:
    """Raises SettingsInvalid on anything but Debian and what is made from it, and for anybody but root."""
    text = os_release.read_text() if os_release.exists() else ""
    facts = dict(re.findall(r'^([A-Z_]+)="?([^"\n]*)"?$', text, re.MULTILINE))
    if "debian" not in {facts.get("ID"), *facts.get("ID_LIKE", "").split()}:
        raise SettingsInvalid(
            f"this machine runs {facts.get('PRETTY_NAME', 'an unknown system')}",
            expected="Debian or Ubuntu",
            remedy="Install slurmd and munge yourself, and copy what `join` writes: docs/cluster.md lists it",
        )
    if os.geteuid() != 0:
        raise SettingsInvalid("only root can set up a machine", remedy="Run it with sudo")


def refuse_other_cluster(invitation: Invitation) -> None:
    """Raises SettingsInvalid on a node of another cluster, and on the control plane itself."""
    text = places.SLURM_CONF.read_text() if places.SLURM_CONF.exists() else ""
    cluster = setting(text, "ClusterName")
    if cluster not in {None, invitation.cluster}:
        raise SettingsInvalid(
            f"this machine belongs to the cluster {cluster}",
            where=str(places.SLURM_CONF),
            expected=f"none, or {invitation.cluster}",
            remedy="Let it leave first: winslow node leave",
        )


def require_version(invitation: Invitation) -> None:
    """Raises SettingsInvalid if the control plane has another version of Winslow: it would drain the node."""
    if own_version() != invitation.winslow_version:
        raise SettingsInvalid(
            f"this machine has version {own_version()} of Winslow, and the control plane {invitation.winslow_version}",
            expected="the same version on all machines",
            remedy="Install that version here, or invite anew if the control plane has another one by now",
        )


def install_packages() -> str:
    """Install what is missing of Slurm and munge from the distribution. Returns what was done. Raises EngineError."""
    missing = [package for program, package in NEEDED.items() if not is_there(program)]
    if not missing:
        return "slurmd and munge are installed"
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        run("apt-get", "update", "-qq", environment=quiet, timeout_s=APT_TIMEOUT_S)
        words = ("install", "-qq", "--yes", "--no-install-recommends")
        run("apt-get", *words, *missing, environment=quiet, timeout_s=APT_TIMEOUT_S)
    except EngineError as error:
        raise EngineError(
            f"{', '.join(missing)} could not be installed: {error.what}",
            where=error.where,
            remedy="Install them by hand, and join again",
        ) from error
    return f"installed {', '.join(missing)}"


def compare_versions(control_plane: str, node: str) -> None:
    """Raises SettingsInvalid if slurmctld does not understand this machine's slurmd."""
    theirs, ours = _major(control_plane), _major(node)
    # Majors are years and months: 22.05, 23.02, 23.11, 24.05. The distance in years is near enough to count them.
    if ours > theirs or theirs[0] - ours[0] > OLDEST_BEHIND:
        raise SettingsInvalid(
            f"this machine has Slurm {node.rsplit(maxsplit=1)[-1]}, and the control plane {control_plane}",
            expected="the same version, or one that is up to two years older",
            remedy="Use the same release of the distribution on all machines, the control plane first",
        )


def container_lines(found: ContainerGpus, machine: Description) -> tuple[str, ...]:
    """What stages will find here, in words."""
    runtime = found.docker or "no Docker: only stages with a `command` run here"
    gpus = ", ".join(f"{gpu.name} ({gpu.vendor})" for gpu in machine.usable_gpus) or "no GPU"
    without = [gpu.name for gpu in machine.gpus if not gpu.device_files]
    lines: tuple[str, ...] = (f"found {runtime}", f"found {machine.cpus} CPUs and {gpus}")
    if without:
        lines += (f"not used, because they have no device file of their own: {', '.join(without)}",)
    return lines + found.notes


def write_key(invitation: Invitation) -> bool:
    """Make munge's key the cluster's. Returns whether it was another one."""
    munge = pwd.getpwnam("munge")
    owner = munge.pw_uid, munge.pw_gid
    places.MUNGE_KEY.parent.mkdir(mode=0o700, exist_ok=True)
    shutil.chown(places.MUNGE_KEY.parent, *owner)
    return places.put(places.MUNGE_KEY, invitation.key, 0o400, owner)


def write_configuration(invitation: Invitation, machine: Description, node_dir: Path) -> None:
    """The files of Slurm, and what agents know of this node."""
    places.put(places.SLURM_CONF, invitation.slurm_conf, 0o644)
    places.put(places.CGROUP_CONF, invitation.cgroup_conf, 0o644)
    places.put(places.GRES_CONF, machine.gres_conf(), 0o644)
    epilog = default_file("deploy/slurm/epilog").read_bytes()
    for path in {places.EPILOG, Path(setting(invitation.slurm_conf, "Epilog") or places.EPILOG)}:
        places.put(path, epilog, 0o755)
    if invitation.ca:
        places.put(places.CA_FILE, invitation.ca, 0o644)
    Path(setting(invitation.slurm_conf, "SlurmdSpoolDir") or "/var/spool/slurmd").parent.mkdir(
        parents=True, exist_ok=True
    )
    node_dir.mkdir(parents=True, exist_ok=True)
    shutil.chown(node_dir, invitation.uid, invitation.gid)
    facts = NodeFacts(
        node_dir=node_dir,
        python=Path(sys.executable),
        control_plane_url=invitation.control_plane_url,
        ca_file=places.CA_FILE if invitation.ca else None,
        environment=invitation.environment,
        gpus=machine.usable_gpus,
    )
    places.put(places.NODE_FILE, facts.toml(), 0o600, (invitation.uid, invitation.gid))


def reach_slurmctld(invitation: Invitation) -> None:
    """Raises ServiceUnavailable, with a reason in words, if slurmctld does not answer this machine."""
    host = setting(invitation.slurm_conf, "SlurmctldHost") or ""
    address = re.sub(r".*\((.*)\)", r"\1", host)
    port = setting(invitation.slurm_conf, "SlurmctldPort") or "6817"
    where = f"slurmctld at {address}:{port}"
    with suppress(EngineError):  # It ends with an error if the answer is that slurmctld is down.
        if "is UP" in run("scontrol", "ping"):
            return
    try:
        socket.create_connection((address, int(port)), timeout=ANSWERS_WITHIN_S).close()
    except OSError as error:
        back = setting(invitation.slurm_conf, "SlurmdPort") or "6818"
        raise ServiceUnavailable(
            f"it does not answer: {error.strerror or error}",
            where=where,
            remedy=f"Start it, and let this machine reach that port, and the control plane port {back} of this machine",
        ) from error
    raise ServiceUnavailable(
        "it does not accept what this machine signs",
        where=where,
        remedy="Check that the invitation is a new one, and that the clocks of both machines are right",
    )


def reach_control_plane(invitation: Invitation) -> str:
    """Whether the web server answers, in words. Raises ServiceUnavailable if its certificate is not accepted."""
    url = invitation.control_plane_url
    context = ssl.create_default_context(cadata=invitation.ca or None) if url.startswith("https://") else None
    try:
        with urllib.request.urlopen(url, timeout=ANSWERS_WITHIN_S, context=context):  # noqa: S310  # the own one
            return f"{url} answers"
    except urllib.error.HTTPError:
        return f"{url} answers"
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLError):
            raise ServiceUnavailable(
                f"its certificate is not accepted: {error.reason}",
                where=url,
                remedy="Invite with --ca and the PEM file of the certificate's authority",
            ) from error
        return f"{url} does not answer now ({error.reason}): stages wait here until it does"


def forget_old_description(machine: Description) -> None:
    """Let Slurm forget the node unless it works, so that it takes what the machine says now."""
    services.stop_daemon("slurmd") if not services.has_systemd() else None
    if node_state(machine.name) is None:
        return
    try:
        run("scontrol", "delete", f"NodeName={machine.name}")
    except EngineError:
        return  # Jobs run there, or it stands in slurm.conf: it goes on as it is known.


def wait_until_known(name: str) -> str:
    """The node's state once it takes jobs, or waits in a drain. Raises EngineError with the end of slurmd's log."""
    deadline_s = time.monotonic() + JOINS_WITHIN_S
    while (state := node_state(name)) is None or not state.answers:
        if time.monotonic() >= deadline_s:
            said = "it is not known there" if state is None else f"its state there is {state.state}"
            raise EngineError(
                f"slurmctld has not heard of slurmd on {name} within {JOINS_WITHIN_S:g} s: {said}",
                where="slurmd",
                remedy="See the end of the file that SlurmdLogFile names in slurm.conf",
            )
        time.sleep(LOOK_EVERY_S)
    return state.state


def _major(version: str) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)
