"""Starts processes that outlive whoever starts them.

A start goes through a warm server (`warm.py`) where one answers, and is a plain `python -m` where none does. The two
differ in nothing but the time they take: same session, streams, directory, environment, arguments and signals. What a
process inherits beside those (cgroup, umask, limits) it has from the server, which its supervisor started as it starts
everything else.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from winslow_dagster.engines import daemonize
from winslow_dagster.errors import EngineError
from winslow_dagster.stages.process_supervisor import create_time_s

ANSWER_TIMEOUT_S = 5.0
"""A server that takes longer than this is not used. It forks in milliseconds."""
GO = b"go\n"
NEVER = -1.0
MOST_REQUEST_BYTES = 4 * 1024 * 1024

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process, told from a later one with the same pid.

    `create_time` is in seconds since the machine's start, which nobody moves by setting the clock.
    """

    pid: int
    create_time: float

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """The process that has this pid now. One that has ended already is told as dead."""
        return cls(pid, create_time_s(pid) or NEVER)

    def alive(self) -> bool:
        """Whether it still runs. A zombie does not."""
        return create_time_s(self.pid) == self.create_time

    def terminate(self) -> None:
        """Ask it to end (TERM). Nothing happens where it has ended."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it (KILL). Nothing happens where it has ended."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            # The descriptor stays on this one process, whoever gets its number after the check.
            handle = os.pidfd_open(self.pid)
            try:
                if self.alive():
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)


@dataclass(frozen=True, slots=True)
class Start:
    """One start as it travels to the warm server. Python is the starter's: it must be the server's too."""

    module: str
    args: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    log_path: str
    python: str = sys.executable


class NotServed(Exception):
    """The warm server did not start the process, and never will: the reason. The start is then made plainly."""


def spawn_detached(  # noqa: PLR0913  # one start is that much, and all but two have a name at the call
    module: str,
    args: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    log_path: Path,
    fork_server_socket: Path | None,
) -> ProcessIdentity:
    """Run `python -m module args` in its own session, no child of the caller, with exactly `env`.

    stdin is empty; stdout and stderr are appended to `log_path`, whose directory is made. Raises EngineError where the
    process cannot be started. It has not been started when this raises, whatever happened on the way.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    start = Start(module, tuple(args), dict(env), str(cwd), str(log_path.absolute()))
    if fork_server_socket is not None:
        try:
            return ask_server(fork_server_socket, start)
        except NotServed as reason:
            logger.debug("plain start of %s: %s: %s", module, fork_server_socket, reason)
    return start_plainly(start)


def start_plainly(start: Start) -> ProcessIdentity:
    """By a short-lived process that forks and leaves, so that the caller is no parent and keeps no zombie."""
    command = (start.python, "-I", "-S", daemonize.__file__, start.log_path, start.cwd)
    program = (start.python, "-m", start.module, *start.args)
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, *program], env=start.env, stdin=pipe, stdout=pipe, stderr=pipe) as parent:
        # One short line where the program runs; nothing, and the end of the stream, where it cannot be started.
        line = parent.stdout.readline() if parent.stdout else b""
        identity = ProcessIdentity.of(int(line or 0))
        _, failure = parent.communicate()
    if parent.returncode != 0:
        raise EngineError(f"{start.module} could not be started: {failure.decode().strip()}", where=start.cwd)
    return identity


def ask_server(socket_path: Path, start: Start) -> ProcessIdentity:
    """By the server at `socket_path`. Raises NotServed where it does not, EngineError where the start itself is bad.

    The new process goes on only when it was told to: if its answer does not arrive here, it ends and the caller may
    start another without there ever being two.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_TIMEOUT_S)
            with short_address(socket_path) as address:
                connection.connect(address)
            connection.sendall(json.dumps(asdict(start)).encode() + b"\n")
            answer = read_message(connection)
            if "pid" in answer:
                connection.sendall(GO)
    except (OSError, ValueError) as error:
        raise NotServed(str(error)) from error
    if "failed" in answer:
        raise EngineError(f"{start.module} could not be started: {answer['failed']}", where=start.cwd)
    if "declined" in answer:
        raise NotServed(answer["declined"])
    return ProcessIdentity(answer["pid"], answer["create_time"])


@contextmanager
def short_address(path: Path) -> Iterator[str]:
    """An address for a unix socket at any path: the kernel takes 107 bytes only, and a path by descriptor is short."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def read_message(connection: socket.socket) -> dict[str, Any]:
    """One line of JSON. Raises OSError or ValueError where the other side did not send one."""
    received = bytearray()
    while not received.endswith(b"\n"):
        part = connection.recv(65536)
        if not part:
            raise ConnectionResetError("the other side closed the connection")
        received += part
        if len(received) > MOST_REQUEST_BYTES:
            raise ValueError(f"the message is longer than {MOST_REQUEST_BYTES} bytes")
    message = json.loads(received)
    if not isinstance(message, dict):
        raise ValueError("the message is no object")  # noqa: TRY004  # a wrong content, like text that is no JSON
    return message
