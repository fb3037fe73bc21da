"""An invitation: a file, made on the control plane, with which a machine joins the cluster."""

from __future__ import annotations

import base64
import os
import pwd
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError

from winslow_dagster.engines.slurm.messages import own_version
from winslow_dagster.errors import InputRejected, SettingsInvalid
from winslow_dagster.node_setup.programs import run
from winslow_dagster.pipelines.model.frozen import Frozen

SLURM_CONF = Path("/etc/slurm/slurm.conf")
MUNGE_KEY = Path("/etc/munge/munge.key")
STORE_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION")
"""Variables of the control plane with which nodes reach the store, too."""


class Invitation(Frozen):
    """What a machine needs to join. It holds the cluster's key: whoever has it can act as any user of the cluster."""

    cluster: str
    slurm_version: str
    winslow_version: str
    slurm_conf: str
    cgroup_conf: str = ""
    munge_key: str = Field(description="In base64.")
    user: str
    uid: int
    gid: int
    control_plane_url: str
    ca: str = Field(default="", description="PEM of the authority of the web server's certificate.")
    environment: dict[str, str] = Field(default_factory=dict, description="With which the node reaches the store.")

    @property
    def key(self) -> bytes:
        """Munge's key."""
        return base64.b64decode(self.munge_key)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises InputRejected."""
        expected = "a file that `winslow node invite` has made on the control plane"
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise InputRejected(
                "it is not an invitation, or one of another version", where=str(path), expected=expected
            ) from error
        except OSError as error:
            raise InputRejected(f"it cannot be read: {error.strerror}", where=str(path), expected=expected) from error

    def write(self, path: Path) -> None:
        """Write a new file that only its owner may read. Raises InputRejected if there is one."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError as error:
            raise InputRejected(
                "the file exists", where=str(path), remedy="Name another one, or delete it first"
            ) from error
        with os.fdopen(descriptor, "w") as file:
            file.write(self.model_dump_json(indent=2) + "\n")


def invite(
    control_plane_url: str,
    ca_file: Path | None = None,
    *,
    slurm_conf: Path | None = None,
    munge_key: Path = MUNGE_KEY,
    environment: Mapping[str, str] | None = None,
) -> Invitation:
    """An invitation to the cluster of this control plane. Raises SettingsInvalid for what is missing here."""
    environment = os.environ if environment is None else environment
    path = slurm_conf or Path(environment.get("SLURM_CONF") or SLURM_CONF)
    text = _text(path, "Set up the control plane first: docs/cluster.md says how")
    user = setting(text, "SlurmUser") or "root"
    try:
        account = pwd.getpwnam(user)
    except KeyError as error:
        raise SettingsInvalid(
            f"there is no user {user}", where=f"{path}: SlurmUser", remedy="Name the user that runs Winslow"
        ) from error
    cluster = setting(text, "ClusterName")
    if cluster is None:
        raise SettingsInvalid("ClusterName is not set", where=str(path))
    try:
        key = munge_key.read_bytes()
    except PermissionError as error:
        raise SettingsInvalid("only root may read it", where=str(munge_key), remedy="Invite as root: sudo") from error
    except OSError as error:
        raise SettingsInvalid(
            f"it cannot be read: {error.strerror}", where=str(munge_key), remedy="Install munge: apt-get install munge"
        ) from error
    cgroup_conf = path.with_name("cgroup.conf")
    return Invitation(
        cluster=cluster,
        slurm_version=run("slurmctld", "-V").split()[-1],
        winslow_version=own_version(),
        slurm_conf=text,
        cgroup_conf=cgroup_conf.read_text() if cgroup_conf.exists() else "",
        munge_key=base64.b64encode(key).decode(),
        user=user,
        uid=account.pw_uid,
        gid=account.pw_gid,
        control_plane_url=control_plane_url,
        ca="" if ca_file is None else _text(ca_file, "Name the PEM file of the certificate's authority"),
        environment={name: environment[name] for name in STORE_VARIABLES if name in environment},
    )


def setting(slurm_conf: str, name: str) -> str | None:
    """The value of a setting in the text of a slurm.conf; None if it is not set. Slurm ignores upper and lower case."""
    found = re.search(rf"^\s*{name}\s*=\s*(\S+)", slurm_conf, re.IGNORECASE | re.MULTILINE)
    return found[1] if found else None


def _text(path: Path, remedy: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SettingsInvalid(f"it cannot be read: {error}", where=str(path), remedy=remedy) from error
