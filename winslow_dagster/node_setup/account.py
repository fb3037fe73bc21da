"""The user of the cluster on this machine: the same name and numbers as on the control plane."""

from __future__ import annotations

import grp
import pwd

from winslow_dagster.errors import EngineError
from winslow_dagster.node_setup.invitation import Invitation
from winslow_dagster.node_setup.programs import run

DOCKER = "docker"


def make_user(invitation: Invitation) -> str:
    """Make the user unless it is there, and let it use Docker. Returns what was done. Raises EngineError."""
    done = _make(invitation)
    if invitation.user != "root" and _may_join_docker(invitation.user):
        run("usermod", "--append", "--groups", DOCKER, invitation.user)
        done += "; it may use Docker now"
    return done


def _make(invitation: Invitation) -> str:
    user, uid, gid = invitation.user, invitation.uid, invitation.gid
    remedy = "Rename one of the two, or give the cluster's user a number that is free on all machines"
    try:
        existing = pwd.getpwnam(user)
    except KeyError:
        existing = None
    if existing is not None:
        if existing.pw_uid != uid:
            raise EngineError(
                f"this machine has a user {user} with the number {existing.pw_uid}, and the cluster's has {uid}",
                where="users",
                expected="the same number on all machines",
                remedy=remedy,
            )
        return f"the user {user} ({uid}) is there"
    try:
        other = pwd.getpwuid(uid).pw_name
    except KeyError:
        other = ""
    if other:
        raise EngineError(
            f"the cluster's user {user} has the number {uid}, which is {other}'s on this machine",
            where="users",
            remedy=remedy,
        )
    try:
        grp.getgrgid(gid)
    except KeyError:
        run("groupadd", "--gid", str(gid), user)
    run("useradd", "--uid", str(uid), "--gid", str(gid), "--create-home", "--shell", "/bin/bash", user)
    return f"made the user {user} ({uid})"


def _may_join_docker(user: str) -> bool:
    try:
        return user not in grp.getgrnam(DOCKER).gr_mem
    except KeyError:
        return False
