"""Keeps other processes of the same user from reading passwords and keys in this one's environment."""

from __future__ import annotations

import ctypes

PR_SET_DUMPABLE = 4


def hide_environment() -> None:
    """Let only root read environment and memory of this process, and of those it forks.

    A stage that runs as a process has the same user, and could otherwise read `/proc/PID/environ`. Executing another
    program undoes it, so that each program of Winslow calls this first.
    """
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0)
