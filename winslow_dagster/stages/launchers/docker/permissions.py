"""Opens directories to the user of an image, and to nobody else: by access control lists, which need no privileges."""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from winslow_dagster.storage.directories import statuses_below

# The format of the kernel: linux/posix_acl_xattr.h and linux/posix_acl.h.
ACCESS_LIST, DEFAULT_LIST = "system.posix_acl_access", "system.posix_acl_default"
VERSION = 2
OWNER, USER, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
NOBODY = 0xFFFFFFFF
READ_WRITE, ALL = 6, 7


def open_to_user(directory: Path, uid: int) -> str:
    """Let the user `uid` read and change everything in a directory. Returns what is not enforced, or an empty text.

    What the user creates there stays accessible to this process's user. Raises OSError.
    """
    try:
        for path, status in own_content(directory):
            if stat.S_ISDIR(status.st_mode):
                # What is created in it gets this list.
                os.setxattr(path, DEFAULT_LIST, access_list(status.st_mode, ALL, {uid, os.geteuid()}))
            granted = ALL if status.st_mode & stat.S_IXUSR else READ_WRITE
            os.setxattr(path, ACCESS_LIST, access_list(status.st_mode, granted, {uid}))
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        for path, status in own_content(directory):
            path.chmod(stat.S_IMODE(status.st_mode) | (0o777 if stat.S_ISDIR(status.st_mode) else 0o666))
        return (
            f"isolation: every user of this machine can write to {directory}, because the image has its own user and "
            "the file system has no access control lists"
        )
    return ""


def with_content(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The directory, and all files and directories in it except links and what is out of reach."""
    yield directory, directory.stat()
    for entry, status in statuses_below(directory):
        if not stat.S_ISLNK(status.st_mode):
            yield Path(entry), status


def own_content(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The same without what belongs to another user: it is the image's, from an earlier attempt."""
    return ((path, status) for path, status in with_content(directory) if status.st_uid == os.geteuid())


def access_list(mode: int, granted: int, uids: set[int]) -> bytes:
    """A list that grants these users `granted`, and the owner, the group and others what `mode` grants them."""
    entries = [
        (OWNER, mode >> 6 & ALL, NOBODY),
        *((USER, granted, uid) for uid in sorted(uids)),
        (GROUP, mode >> 3 & ALL, NOBODY),
        (MASK, ALL, NOBODY),
        (OTHER, mode & ALL, NOBODY),
    ]
    return struct.pack("<I", VERSION) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
