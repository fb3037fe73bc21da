"""An invitation has all that a machine needs, and every fault in it is told."""

from __future__ import annotations

import getpass
import stat
from pathlib import Path

import pytest

from winslow_dagster.errors import InputRejected, SettingsInvalid
from winslow_dagster.node_setup.invitation import Invitation, invite, setting

URL = "https://winslow.example"


@pytest.fixture
def control_plane(tmp_path: Path) -> Path:
    """A directory with a slurm.conf and munge's key."""
    (tmp_path / "slurm.conf").write_text(
        f"ClusterName=ulm\nslurmctldhost=control(10.0.0.1)\nSlurmUser={getpass.getuser()}\n# SlurmdPort=1\n"
    )
    (tmp_path / "cgroup.conf").write_text("CgroupPlugin=autodetect\n")
    (tmp_path / "munge.key").write_bytes(bytes(range(256)) * 4)
    return tmp_path


def made(control_plane: Path, **environment: str) -> Invitation:
    return invite(
        URL,
        slurm_conf=control_plane / "slurm.conf",
        munge_key=control_plane / "munge.key",
        environment=environment,
    )


@pytest.mark.slurm
def test_an_invitation_read_again_is_the_same_and_nobody_else_may_read_it(control_plane: Path) -> None:
    invitation = made(control_plane, AWS_ACCESS_KEY_ID="dev", AWS_SECRET_ACCESS_KEY="hidden", HOME="/root")
    file = control_plane / "invitation"

    invitation.write(file)

    assert Invitation.read(file) == invitation
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert invitation.key == bytes(range(256)) * 4
    assert invitation.environment == {"AWS_ACCESS_KEY_ID": "dev", "AWS_SECRET_ACCESS_KEY": "hidden"}
    assert (invitation.cluster, invitation.control_plane_url) == ("ulm", URL)
    assert invitation.cgroup_conf == "CgroupPlugin=autodetect\n"


@pytest.mark.slurm
def test_an_invitation_replaces_no_file(control_plane: Path) -> None:
    with pytest.raises(InputRejected, match="the file exists"):
        made(control_plane).write(control_plane / "munge.key")


@pytest.mark.parametrize("text", ["", "{}", "hello", '{"cluster": "ulm"}'])
def test_a_file_that_is_no_invitation_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)

    with pytest.raises(InputRejected, match="winslow node invite"):
        Invitation.read(tmp_path / "file")
    with pytest.raises(InputRejected, match="No such file"):
        Invitation.read(tmp_path / "none")


def test_what_is_missing_on_the_control_plane_is_told(control_plane: Path) -> None:
    conf = control_plane / "slurm.conf"
    whole = conf.read_text()

    conf.write_text(whole.replace(getpass.getuser(), "nobody-of-this-name"))
    with pytest.raises(SettingsInvalid, match="there is no user nobody-of-this-name"):
        made(control_plane)
    conf.write_text("SlurmUser=root\n")
    with pytest.raises(SettingsInvalid, match="ClusterName is not set"):
        made(control_plane)
    conf.write_text(whole)
    (control_plane / "munge.key").unlink()
    with pytest.raises(SettingsInvalid, match="apt-get install munge"):
        made(control_plane)
    conf.unlink()
    with pytest.raises(SettingsInvalid, match="Set up the control plane first"):
        made(control_plane)


def test_settings_are_found_as_slurm_finds_them(control_plane: Path) -> None:
    text = (control_plane / "slurm.conf").read_text()

    assert setting(text, "SlurmctldHost") == "control(10.0.0.1)"
    assert setting(text, "SlurmdPort") is None
