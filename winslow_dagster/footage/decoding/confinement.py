"""Limits what this process can use, and takes away what it does not need: a decoder may be taken over by its input."""

from __future__ import annotations

import ctypes
import os
import resource
import signal

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446
ALL_FILE_ACCESS = (1 << 13) - 1
"""All that the first version of Landlock knows."""
OPEN_FILES = 32


def confine(parent: int, memory_bytes: int, cpu_s: int) -> None:
    """Before the libraries are loaded: limits, the end with the parent, and no network where the kernel allows that."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    os.umask(0o077)
    if libc.unshare(CLONE_NEWNET) != 0:
        libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)


def forbid_files(written_bytes: int) -> None:
    """Once the libraries are loaded: no file can be opened any more, where the kernel has Landlock.

    Not before: Python keeps what it compiles, and a limit on the size of files would cut it off.
    """
    resource.setrlimit(resource.RLIMIT_FSIZE, (written_bytes, written_bytes))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    handled = ctypes.c_uint64(ALL_FILE_ACCESS)
    ruleset = libc.syscall(LANDLOCK_CREATE_RULESET, ctypes.byref(handled), ctypes.sizeof(handled), 0)
    if ruleset >= 0:
        libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0)
        os.close(ruleset)
