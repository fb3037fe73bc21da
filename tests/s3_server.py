"""An S3 server of a test's own, which it may stop and start."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "deploy" / "services" / "radosgw.sh"
PORTS = 3
"""The script uses its port and the next two."""
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "dev", "AWS_SECRET_ACCESS_KEY": "devsecret", "AWS_DEFAULT_REGION": "us-east-1"}
BELOW_EPHEMERAL = range(20000, 32000)


class S3Server:
    """Its data lie in `directory`, which must not exist yet."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        port = free_ports()
        self._environment = {**os.environ, "WINSLOW_RADOSGW_DIR": str(directory), "WINSLOW_RADOSGW_PORT": str(port)}
        self.endpoint = f"http://127.0.0.1:{port}"
        self._call("up")

    def freeze(self) -> None:
        """From now on, requests are neither answered nor refused. Only `stop` ends that."""
        os.kill(int((self._directory / "run" / "radosgw.pid").read_text()), signal.SIGSTOP)

    def stop(self) -> None:
        """Cut all connections; from now on, none can be opened."""
        self._call("stop")

    def start(self) -> None:
        """Listen at the same address again."""
        self._call("start")

    def remove(self) -> None:
        """Stop it, and delete its data."""
        self._call("down")

    def _call(self, verb: str) -> None:
        # Not captured: the servers would hold a pipe open.
        subprocess.run([SCRIPT, verb], env=self._environment, stdout=subprocess.DEVNULL, check=True)


def free_ports() -> int:
    """The first of three free ports in a row."""
    while True:
        first = random.choice(BELOW_EPHEMERAL)
        try:
            with ExitStack() as sockets:
                for port in range(first, first + PORTS):
                    sockets.enter_context(socket.socket()).bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
