"""The fork server: it imports what its children need, and forks them.

`python -m winslow_dagster.engines.fork_server --socket PATH --preload MODULE [--preload MODULE…]`. One process with one
thread (a fork of several could deadlock on a lock that no thread holds). Its children are detached and outlive it; it
ends with its supervisor. What happens in a fork is in `forked.py`.

Each request checks whether the code on disk has changed. If so, the server declines, so that the caller starts the
process plainly with the new code, and restarts itself. Old code is never run, and nothing has to be restarted by hand.
"""

from __future__ import annotations

import argparse
import fcntl
import gc
import importlib
import json
import logging
import os
import select
import signal
import site
import socket
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from winslow_dagster.engines.forked import QuickEnd, become, exit_code_of
from winslow_dagster.engines.spawn import ANSWER_TIMEOUT_S, GO, Start, read_message, short_address
from winslow_dagster.errors import EngineError
from winslow_dagster.stages.process_supervisor import create_time_s

BACKLOG = 256
INSTALLATION = (".dist-info", ".egg-info", ".pth", ".egg-link")
"""Endings of what an installer writes beside the packages."""
READ_AT_START = ("PYTHON", "LD_", "LANG", "LC_ALL")
"""Prefixes of variables that the interpreter or the loader reads only at its start: a fork cannot change them."""

logger = logging.getLogger(__name__)


class ForkServer:
    """Listens at one socket. `serve` returns in every child, with its request, and in the server at its end."""

    def __init__(self, socket_path: Path, parent_pid: int) -> None:
        self._path = socket_path
        self._parent = os.pidfd_open(parent_pid)
        self._lock = only_server_at(socket_path)
        self._variables = read_at_start(os.environ)
        self._code = code_on_disk()
        # Imported modules are never freed: garbage collection would only copy their pages in every child.
        gc.freeze()
        self._listener = listen_at(socket_path)

    def serve(self) -> Start | None:
        """Answer requests until the supervisor ends."""
        # Nobody waits for the children: the kernel is to clear them away.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        events = select.poll()
        events.register(self._parent, select.POLLIN)
        events.register(self._listener, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in events.poll()}
            if self._parent in ready:
                self._path.unlink(missing_ok=True)
                return None
            connection, _ = self._listener.accept()
            with connection:
                start = self._request(connection)
                if start is not None and self._forked(connection):
                    self._become(start, connection)
                    return start
            if self._code != code_on_disk():
                self._restart()

    def _request(self, connection: socket.socket) -> Start | None:
        """The request; None if it was malformed or has been declined."""
        connection.settimeout(ANSWER_TIMEOUT_S)
        try:
            start = Start(**read_message(connection))
            if reason := self._reason_against(start):
                send(connection, {"declined": reason})
                return None
        except (OSError, ValueError, TypeError) as error:
            logger.warning("malformed request: %s", error)
            return None
        return start

    def _forked(self, connection: socket.socket) -> bool:
        """Fork; True in the child. Declines the request if the fork fails."""
        try:
            return os.fork() == 0
        except OSError as error:
            logger.warning("fork failed: %s", error)
            with suppress(OSError):
                send(connection, {"declined": str(error)})
            return False

    def _reason_against(self, start: Start) -> str:
        if start.python != sys.executable:
            return f"it runs another Python: {sys.executable}"
        variables = read_at_start(start.env)
        if variables != self._variables:
            names = sorted(name for name, _ in variables.items() ^ self._variables.items())
            return f"its interpreter was started with a different {', '.join(dict.fromkeys(names))}"
        if self._code != code_on_disk():
            return "the code on disk has changed since it was started"
        return ""

    def _restart(self) -> None:
        logger.warning("the code on disk has changed: restarting")
        self._path.unlink(missing_ok=True)
        self._decline_waiting()
        # A fork that has yet to close its copy of the lock would keep the next server from starting.
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        # In place: for the supervisor it is the same process, and exec closes the lock and the listener.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # no shell

    def _decline_waiting(self) -> None:
        """Answer those who have connected already: none gets a server that ends in the middle of a request."""
        self._listener.setblocking(False)  # noqa: FBT003  # its only parameter
        with suppress(BlockingIOError):
            while True:
                connection, _ = self._listener.accept()
                with connection, suppress(OSError):
                    send(connection, {"declined": "the server restarts with the code that is on disk now"})

    def _become(self, start: Start, connection: socket.socket) -> None:
        """Turn this fork into the requested process; exit if the caller is gone."""
        try:
            self._listener.close()
            become(start, keep=connection.fileno())
            send(connection, {"pid": os.getpid(), "create_time": create_time_s(os.getpid())})
            connection.settimeout(None)
            if connection.recv(len(GO)) != GO:
                os._exit(1)
        except (OSError, ValueError) as error:
            with suppress(OSError):
                send(connection, {"failed": str(error)})
            os._exit(1)


def send(connection: socket.socket, message: Mapping[str, object]) -> None:
    """One line of JSON."""
    connection.sendall(json.dumps(message).encode() + b"\n")


def preload(modules: Iterable[str]) -> None:
    """Import the modules. Raises EngineError if an import fails or starts a thread."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise EngineError(f"{module} cannot be imported: {error}", where="--preload") from error
        if len(list(Path("/proc/self/task").iterdir())) > 1:
            names = ", ".join(thread.name for thread in threading.enumerate()[1:]) or "not a Python thread"
            raise EngineError(
                f"importing {module} starts a thread ({names}), and a process with threads must not fork",
                where="--preload",
                remedy=f"Leave {module} out",
            )


def only_server_at(socket_path: Path) -> int:
    """Take the lock that makes this the only server of the socket. Raises EngineError if another one is running."""
    socket_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(f"{socket_path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise EngineError("another fork server is running", where=str(socket_path)) from None
    return lock


def listen_at(socket_path: Path) -> socket.socket:
    """A listener that atomically replaces the socket of a dead server."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    draft = socket_path.with_name(f".{socket_path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        with short_address(draft) as address:
            listener.bind(address)
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    draft.replace(socket_path)
    return listener


def read_at_start(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that are read only at the start of an interpreter."""
    return {name: value for name, value in variables.items() if name.startswith(READ_AT_START)}


def code_on_disk() -> dict[str, tuple[int, int]]:
    """Time and size of every loaded source file outside of packages; what is installed, and when it was.

    Compiled code that an import writes is no change: the time of a directory says nothing.
    """
    found: dict[str, tuple[int, int]] = {}
    for directory in site.getsitepackages():
        found |= installed(directory)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and not file.startswith((sys.prefix, sys.base_prefix)):
            found[file] = time_and_size(file)
    return found


def installed(directory: str) -> dict[str, tuple[int, int]]:
    """Everything in a directory of packages by path; with a time where it is the description of an installation.

    Installing, upgrading or removing a package replaces its description, so that its files need not be checked.
    """
    try:
        with os.scandir(directory) as entries:
            paths = [entry.path for entry in entries if entry.name != "__pycache__"]
    except FileNotFoundError:
        return {}
    return {path: time_and_size(path) if path.endswith(INSTALLATION) else (0, 0) for path in paths}


def time_and_size(path: str) -> tuple[int, int]:
    """(0, 0) if it does not exist."""
    try:
        status = os.stat(path)  # noqa: PTH116  # a hundred files before each fork
    except FileNotFoundError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


def main() -> None:
    """Serve until the supervisor ends; in each child, run the requested module."""
    parser = argparse.ArgumentParser(prog="python -m winslow_dagster.engines.fork_server", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="where to listen")
    parser.add_argument("--preload", action="append", default=[], metavar="MODULE", help="module that children need")
    parser.add_argument("--parent-pid", type=int, default=os.getppid(), help="the supervisor to end with")
    options = parser.parse_args()
    try:
        preload(options.preload)
        start = ForkServer(options.socket.absolute(), options.parent_pid).serve()
    except EngineError as error:
        sys.exit(str(error))
    except ProcessLookupError:
        sys.exit(f"the supervisor, process {options.parent_pid}, has ended")
    if start is not None:
        end = QuickEnd()
        end.exit_code = exit_code_of(start)


if __name__ == "__main__":
    main()
