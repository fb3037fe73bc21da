"""Whether a process listens at a socket, checked from outside."""

from __future__ import annotations

import socket
from pathlib import Path


def listens(unix_socket: Path) -> bool:
    """Whether a process accepts connections there. The file alone proves nothing: a killed process leaves it."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(unix_socket))
        except OSError:
            return False
    return True
