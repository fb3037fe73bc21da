"""What may hold a secret is readable by its owner only, and secrets are not where everybody looks."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from installation import Installation

from winslow_dagster import Winslow
from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.services.instance import private_directory

ONE = """
name: one
command: [sh, -c]
stages: [{name: only, args: ['true'], env: {TOKEN: sesame}}]
"""


def readable_by_others(home: Path) -> set[str]:
    """The files that somebody else could read, because no directory on the way keeps others out."""
    found = set()
    for directory, names, files in os.walk(home):
        names[:] = [name for name in names if (Path(directory) / name).stat().st_mode & stat.S_IXOTH]
        found |= {file for file in files if (Path(directory) / file).lstat().st_mode & stat.S_IROTH}
    return found


@pytest.mark.slow
@pytest.mark.postgres
def test_no_file_of_the_home_holds_the_database_s_password(tmp_path: Path, postgres_url: str) -> None:
    url = postgres_url.replace("winslow@", "winslow:sesame@")
    assert url != postgres_url
    installation = Installation(tmp_path, None, {"one": ONE.replace("sesame", "no secret")}, database_url=url)
    installation.up()
    try:
        with Winslow(installation.settings) as winslow:
            winslow.run("one", project="ulm").wait()
        own = [word for process in installation.processes() for word in process.cmdline()]
        assert any("dagster" in word for word in own)
        assert [word for word in own if "sesame" in word] == []
    finally:
        installation.down()
    written = [path for path in installation.settings.home.rglob("*") if path.is_file()]
    assert (installation.settings.dagster_home / "dagster.yaml") in written
    assert [path for path in written if b"sesame" in path.read_bytes()] == []


@pytest.mark.slow
def test_what_may_hold_a_secret_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    installation = Installation(tmp_path, None, {"one": ONE})
    installation.up()
    try:
        with Winslow(installation.settings) as winslow:
            winslow.run("one", project="ulm").wait()
    finally:
        installation.down()
    home = installation.settings.home
    secret = {path.name for path in home.rglob("*") if path.is_file() and b"sesame" in path.read_bytes()}
    # Which of the two files of the database has it depends on who closed that last.
    assert "task.json" in secret
    assert secret & {"winslow.db", "winslow.db-wal"}
    # Kept versions are copies of the pipeline files, which are where their author put them.
    open_to_others = readable_by_others(home)
    assert secret & open_to_others <= {path.name for path in installation.settings.versions_dir.rglob("*")}
    # The services' own logs; a stage's log is one of its results.
    own_logs = [path for name in ("logs", "runs") for path in (home / name).glob("*.log")]
    assert own_logs
    assert [path.name for path in own_logs if path.stat().st_mode & 0o077] == []


def test_the_directory_of_the_sockets_must_be_the_user_s_own_and_becomes_private(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.mkdir(mode=0o755)
    private_directory(ours)
    assert stat.S_IMODE(ours.stat().st_mode) == 0o700
    link = tmp_path / "link"
    link.symlink_to(ours)
    with pytest.raises(ServiceUnavailable, match=r"belongs to another user, or is a link.*Remove it"):
        private_directory(link)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_not_used_for_sockets(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, -1)
    with pytest.raises(ServiceUnavailable, match="another user"):
        private_directory(theirs)
    assert theirs.stat().st_uid == 12345
