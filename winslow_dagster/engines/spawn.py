"""Starts processes that outlive their starter.

A process is started through a fork server (`fork_server.py`) if one answers, and otherwise by a plain `python -m`. Both
give it the same session, streams, directory, environment, arguments and signals; a fork is faster. The rest (cgroup,
umask, limits) is inherited from the fork server, which the services' supervisor started as it starts everything else.
"""

from __future__ import annotations

import errno
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
"""A fork server that takes longer than this is not used. It forks in milliseconds."""
GO = b"go\n"
NEVER = -1.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MAX_REQUEST_BYTES = 4 * 1024 * 1024

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process, distinguished from a later one with the same pid.

    `create_time` is in seconds since the machine's start, so that setting the clock does not change it.
    """

    pid: int
    create_time: float

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """The process that has this pid now; not alive if it has ended already."""
        return cls(pid, create_time_s(pid) or NEVER)

    def alive(self) -> bool:
        """Whether it is still running. A zombie is not."""
        return create_time_s(self.pid) == self.create_time

    def terminate(self) -> None:
        """Send TERM. Does nothing if the process has ended."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Send KILL. Does nothing if the process has ended."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            # The descriptor refers to this process even if another gets its pid after the check.
            handle = os.pidfd_open(self.pid)
            try:
                if self.alive():
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)


def boot_id() -> str:
    """Which start of the machine this is: with the next one, identities of processes may come again."""
    return BOOT_ID.read_text().strip()


@dataclass(frozen=True, slots=True)
class Start:
    """A request to the fork server. `python` is the starter's interpreter, which must be the server's, too."""

    module: str
    args: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    log_path: str
    python: str = sys.executable


class ForkServerUnavailable(Exception):
    """The reason why the fork server did not start the process, and never will."""


def spawn_detached(  # noqa: PLR0913  # all but two are keyword-only
    module: str,
    args: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    log_path: Path,
    fork_server_socket: Path | None,
) -> ProcessIdentity:
    """Run `python -m module args` in a session of its own, not as a child of the caller, with exactly `env`.

    stdin is empty; stdout and stderr are appended to `log_path`, whose directory is created. Raises EngineError if the
    process cannot be started; it is then certain that it was not.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    start = Start(module, tuple(args), dict(env), str(cwd), str(log_path.absolute()))
    if fork_server_socket is not None:
        try:
            return start_by_fork(fork_server_socket, start)
        except ForkServerUnavailable as reason:
            logger.debug("plain start of %s: %s: %s", module, fork_server_socket, reason)
    return start_plainly(start)


def start_plainly(start: Start) -> ProcessIdentity:
    """Start it through a short-lived process that forks and exits, so that the caller has no child to reap."""
    command = (start.python, "-I", "-S", daemonize.__file__, start.log_path, start.cwd)
    program = (start.python, "-m", start.module, *start.args)
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, *program], env=start.env, stdin=pipe, stdout=pipe, stderr=pipe) as parent:
        # One short line if the program runs; an empty stream if it cannot be started.
        line = parent.stdout.readline() if parent.stdout else b""
        identity = ProcessIdentity.of(int(line or 0))
        _, failure = parent.communicate()
    if parent.returncode != 0:
        raise EngineError(f"{start.module} could not be started: {failure.decode().strip()}", where=start.cwd)
    return identity


def start_by_fork(socket_path: Path, start: Start) -> ProcessIdentity:
    """Start it through the fork server at `socket_path`. Raises ForkServerUnavailable, EngineError for a bad request.

    The new process continues only after a go-ahead: if its answer does not arrive here, it ends, so that the caller can
    start another without ever having two.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_TIMEOUT_S)
            with short_address(socket_path, private=True) as address:
                connection.connect(address)
            connection.sendall(json.dumps(asdict(start)).encode() + b"\n")
            answer = read_message(connection)
            if "pid" in answer:
                connection.sendall(GO)
    except (OSError, ValueError) as error:
        raise ForkServerUnavailable(str(error)) from error
    if "failed" in answer:
        raise EngineError(f"{start.module} could not be started: {answer['failed']}", where=start.cwd)
    if "declined" in answer:
        raise ForkServerUnavailable(answer["declined"])
    return ProcessIdentity(answer["pid"], answer["create_time"])


@contextmanager
def short_address(path: Path, *, private: bool = False) -> Iterator[str]:
    """A short address for a Unix socket at any path: the kernel accepts only 107 bytes.

    With `private`, raises PermissionError unless its directory is this user's alone: what is sent there is secret.
    """
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(directory)
        if private and (status.st_uid != os.getuid() or status.st_mode & 0o077):
            raise PermissionError(errno.EPERM, "others may use this directory", str(path.parent))
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def read_message(connection: socket.socket) -> dict[str, Any]:
    """One line of JSON. Raises OSError or ValueError if the other side did not send one."""
    received = bytearray()
    while not received.endswith(b"\n"):
        part = connection.recv(65536)
        if not part:
            raise ConnectionResetError("the other side closed the connection")
        received += part
        if len(received) > MAX_REQUEST_BYTES:
            raise ValueError(f"the message is longer than {MAX_REQUEST_BYTES} bytes")
    message = json.loads(received)
    if not isinstance(message, dict):
        raise ValueError("the message is not a JSON object")  # noqa: TRY004  # wrong content, as malformed JSON is
    return message
