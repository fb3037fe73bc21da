"""The warm process server: it has imported what its children need, and forks them.

`python -m winslow_dagster.engines.fork_server --socket PATH --preload MODULE [--preload MODULE…]`. One process with one
thread (a fork of more could hang on a lock nobody holds). Its children are detached and outlive it, and it ends with
its supervisor.

Code that changes on disk is noticed at the next request: the server declines it, which makes it a plain start with the
new code, and starts itself again. So nobody ever gets old code, and nobody has to restart anything.
"""

from __future__ import annotations

import argparse
import fcntl
import gc
import importlib
import json
import logging
import os
import runpy
import select
import signal
import site
import socket
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

from setproctitle import setproctitle

from winslow_dagster.engines import daemonize
from winslow_dagster.engines.spawn import ANSWER_TIMEOUT_S, GO, Start, read_message, short_address
from winslow_dagster.errors import EngineError
from winslow_dagster.stages.process_supervisor import create_time_s

BACKLOG = 256
READ_AT_START = ("PYTHON", "LD_", "LANG", "LC_ALL")
"""Variables that the interpreter or the loader reads when it begins, by prefix: a fork cannot take them up."""

logger = logging.getLogger(__name__)


class ForkServer:
    """Listens at one socket. `serve` returns in every child with what it is to be, and in the server at its end."""

    def __init__(self, socket_path: Path, parent_pid: int) -> None:
        self._path = socket_path
        self._parent = os.pidfd_open(parent_pid)
        self._lock = only_server_at(socket_path)
        self._variables = read_at_start(os.environ)
        self._code = code_on_disk()
        # What was imported is never freed: leave it out of collections, which would copy its pages in every child.
        gc.freeze()
        self._listener = listen_at(socket_path)

    def serve(self) -> Start | None:
        """Answer until the supervisor ends."""
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
                self._start_again()

    def _request(self, connection: socket.socket) -> Start | None:
        """What is asked for, or None where that was answered already, with a refusal."""
        connection.settimeout(ANSWER_TIMEOUT_S)
        try:
            start = Start(**read_message(connection))
            if reason := self._reason_against(start):
                send(connection, {"declined": reason})
                return None
        except (OSError, ValueError, TypeError) as error:
            logger.warning("a request cannot be read: %s", error)
            return None
        return start

    def _forked(self, connection: socket.socket) -> bool:
        """Fork. True in the child. Where the machine has no room for it, the caller is told so."""
        try:
            return forked_away()
        except OSError as error:
            logger.warning("no fork: %s", error)
            with suppress(OSError):
                send(connection, {"declined": str(error)})
            return False

    def _reason_against(self, start: Start) -> str:
        if start.python != sys.executable:
            return f"it is another Python: {sys.executable}"
        given = read_at_start(start.env)
        if given != self._variables:
            names = sorted(name for name, _ in given.items() ^ self._variables.items())
            return f"its interpreter began with another {', '.join(dict.fromkeys(names))}"
        if self._code != code_on_disk():
            return "the code on disk has changed since it began"
        return ""

    def _start_again(self) -> None:
        logger.warning("the code on disk has changed: starting again")
        self._path.unlink(missing_ok=True)
        # In place: the supervisor sees the same process, and the lock and the listener close with the old program.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # no shell is wanted

    def _become(self, start: Start, connection: socket.socket) -> None:
        """Turn this fork into the process that was asked for; it ends here when nobody waits for it any more."""
        try:
            self._listener.close()
            keep = connection.fileno()
            os.closerange(3, keep)
            os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX"))
            daemonize.detach(start.cwd, start.log_path)
            restore_python_signals()
            setproctitle(" ".join((start.python, "-m", start.module, *start.args)))
            send(connection, {"pid": os.getpid(), "create_time": create_time_s(os.getpid())})
            connection.settimeout(None)
            if connection.recv(len(GO)) != GO:
                os._exit(1)
        except (OSError, ValueError) as error:
            with suppress(OSError):
                send(connection, {"failed": str(error)})
            os._exit(1)


def forked_away() -> bool:
    """Fork twice, so that nobody has to wait for the child. True in the child. Raises OSError in the server."""
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return False
    try:
        child = os.fork()
    except OSError:
        # The caller sees the connection end without an answer, and starts plainly.
        os._exit(1)
    if child:
        os._exit(0)
    return True


def restore_python_signals() -> None:
    """What the interpreter sets when it begins."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)


def send(connection: socket.socket, message: Mapping[str, object]) -> None:
    """One line of JSON."""
    connection.sendall(json.dumps(message).encode() + b"\n")


def run(start: Start) -> None:
    """Do what `python -m` does once it is up, in this fresh fork."""
    os.environ.clear()
    os.environ.update(start.env)
    time.tzset()
    if isinstance(sys.stdout, TextIOWrapper):
        # The server's own may be a terminal's.
        sys.stdout.reconfigure(line_buffering=False)
    sys.argv = [start.module, *start.args]
    if not sys.flags.safe_path:
        sys.path[0] = start.cwd
        importlib.invalidate_caches()
    # A module that was preloaded under its own name runs again as the main one, as it does under `python -m`.
    if not hasattr(sys.modules.get(start.module), "__path__"):
        sys.modules.pop(start.module, None)
    runpy.run_module(start.module, run_name="__main__", alter_sys=True)


def preload(modules: list[str]) -> None:
    """Import them. Raises EngineError where one cannot be, or starts a thread."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise EngineError(f"{module} cannot be imported: {error}", where="--preload") from error
        if len(list(Path("/proc/self/task").iterdir())) > 1:
            names = ", ".join(thread.name for thread in threading.enumerate()[1:]) or "one that Python does not know"
            raise EngineError(
                f"importing {module} starts a thread ({names}), and a process with threads must not fork",
                where="--preload",
                remedy=f"Leave {module} out",
            )


def only_server_at(socket_path: Path) -> int:
    """The lock that makes this the one server of the socket. Raises EngineError where another lives."""
    socket_path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(f"{socket_path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise EngineError("another server answers here", where=str(socket_path)) from None
    return lock


def listen_at(socket_path: Path) -> socket.socket:
    """A listener that takes the place of what a dead server left: nobody finds the path without one behind it."""
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
    """Those variables that only a new interpreter takes up."""
    return {name: value for name, value in variables.items() if name.startswith(READ_AT_START)}


def code_on_disk() -> dict[str, tuple[int, int]]:
    """Time and size of every loaded source file that may be edited, and the time of every directory of packages.

    Installing, upgrading or removing a package changes its directory's time, so the files of packages need no look.
    """
    watched = set(site.getsitepackages())
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and not file.startswith((sys.prefix, sys.base_prefix)):
            watched.add(file)
    found = {}
    for path in watched:
        try:
            stat = os.stat(path)  # noqa: PTH116  # a hundred files before each fork
        except FileNotFoundError:
            found[path] = (0, 0)
        else:
            found[path] = (stat.st_mtime_ns, stat.st_size)
    return found


def main() -> None:
    """Serve until the supervisor ends; in each child, be what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m winslow_dagster.engines.fork_server", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="where to listen")
    parser.add_argument("--preload", action="append", default=[], metavar="MODULE", help="what children will need")
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
        run(start)


if __name__ == "__main__":
    main()
