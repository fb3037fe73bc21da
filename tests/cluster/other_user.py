"""The view of this machine that a user without privileges has on a machine of a cluster: a home, and Docker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from pwd import getpwnam

from installation import kill
from patience import until, until_there

USER = "slurm"
"""Debian's package makes it. It has no home here, and may not use Docker, but for the processes of the test."""
ROOT = Path(__file__).parents[2]
# These files are the machine's own for all others. What is needed of a directory that only root may enter moves into
# an empty one that hides it.
SETUP = """\
set -eu
sed 's|^{user}:.*|{user}:x:{uid}:{gid}::{place}:/bin/sh|' /etc/passwd >{place}/passwd
sed -E 's|^(docker:.*:)(.+)$|\\1\\2,{user}|; s|^(docker:.*:)$|\\1{user}|' /etc/group >{place}/group
mount --bind {place}/passwd /etc/passwd
mount --bind {place}/group /etc/group
mkdir {place}/needed
number=0
for path in {needed}; do
    number=$((number + 1))
    mkdir {place}/needed/$number
    mount --rbind $path {place}/needed/$number
done
for path in {closed}; do mount -t tmpfs -o mode=755 tmpfs $path; done
number=0
for path in {needed}; do
    number=$((number + 1))
    mkdir -p $path
    mount --move {place}/needed/$number $path
done
touch {place}/ready
exec sleep infinity
"""


@dataclass(frozen=True)
class OtherUser:
    """`home` is its directory, and `mounts` the file of the mount namespace in which it has that."""

    home: Path
    mounts: Path

    @property
    def uid(self) -> int:
        return getpwnam(USER).pw_uid

    def words(self, *words: str) -> list[str]:
        """A command line that runs `words` as the user."""
        return [
            *("nsenter", f"--mount={self.mounts}", "--wd=/"),
            *("setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "--", *words),
        ]


@contextmanager
def other_user(place: Path) -> Iterator[OtherUser]:
    """In `place`, an empty directory that every user may enter."""
    account = getpwnam(USER)
    os.chown(place, account.pw_uid, account.pw_gid)
    needed = [path for path in (Path(sys.base_prefix), ROOT) if closed_above(path)]
    script = SETUP.format(
        user=USER,
        uid=account.pw_uid,
        gid=account.pw_gid,
        place=place,
        needed=" ".join(map(str, needed)),
        closed=" ".join({str(closed_above(path)) for path in needed}),
    )
    words = ["unshare", "--mount", "--propagation=private", "sh", "-c", script]
    with subprocess.Popen(words) as holder:
        try:
            until_there(place / "ready")
            yield OtherUser(place, Path(f"/proc/{holder.pid}/ns/mnt"))
        finally:
            mounts = Path(f"/proc/{holder.pid}/ns/mnt").readlink()
            until("no process is left in them", lambda: not kill(processes_in(mounts)))


def processes_in(mounts: Path) -> list[int]:
    """Those that run in a mount namespace, such as `mnt:[4026531841]`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # It has ended.
            if (process / "ns" / "mnt").readlink() == mounts:
                found.append(int(process.name))
    return found


def closed_above(path: Path) -> Path | None:
    """The first directory above it that only its owner may enter."""
    return next((each for each in reversed(path.parents) if not each.stat().st_mode & 0o001), None)
