"""A service as a fork of its supervisor, with which it shares the memory of everything that is imported by then."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
from pathlib import Path
from typing import NoReturn

from setproctitle import getproctitle, setproctitle

from winslow_dagster.engines.forked import QuickEnd, become, exit_code_of
from winslow_dagster.engines.spawn import Start

PR_SET_PDEATHSIG = 1


class ServiceProcess:
    """A child of this process. `return_code` is what subprocess calls it: negative for the signal that ended it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.return_code: int | None = None

    def has_ended(self) -> bool:
        """Whether it has ended. Does not wait."""
        if self.return_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid == self.pid:
                self.return_code = os.waitstatus_to_exitcode(status)
        return self.return_code is not None

    def send(self, number: signal.Signals) -> None:
        """Send a signal. Does nothing if the process has ended."""
        if not self.has_ended():
            os.kill(self.pid, number)

    def ends_within(self, timeout_s: float) -> bool:
        """Wait for its end. Returns False if it still runs after `timeout_s`."""
        if self.has_ended():
            return True
        handle = os.pidfd_open(self.pid)
        try:
            ends = select.poll()
            ends.register(handle, select.POLLIN)
            ends.poll(timeout_s * 1000)
        finally:
            os.close(handle)
        return self.has_ended()


def start(module: str, args: tuple[str, ...], *, home: Path, log_file: Path, new_interpreter: bool) -> ServiceProcess:
    """Run a module as a fork of this process, which must have one thread; it ends with this process.

    `home` is what `ps` shows beside the command: a machine may have several installations. With `new_interpreter` it
    imports everything anew, as it must if the code on disk has changed since.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    request = Start(module, args, dict(os.environ), str(Path.cwd()), str(log_file.absolute()))
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    # A signal for the child must find the child's handlers, not those of this process.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _serve(request, parent, home, new_interpreter=new_interpreter)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return ServiceProcess(pid)


def _serve(request: Start, parent: int, home: Path, *, new_interpreter: bool) -> NoReturn:
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before the line above
            os._exit(1)
        become(request)
        setproctitle(f"{getproctitle()} [{home}]")
        # Executing another program shows its environment again: `hidden` hides it.
        hidden = (sys.executable, "-m", "winslow_dagster.services.hidden")
        # What a service that executes itself again, as a fork server does, takes for its own command.
        sys.orig_argv = [*hidden, sys.executable, "-m", request.module, *request.args]
        if new_interpreter:
            os.execv(sys.executable, sys.orig_argv)  # noqa: S606  # no shell
        end = QuickEnd()
        end.exit_code = exit_code_of(request)
        # Not by way of the supervisor's own frames, which would end the other services.
        end()
    finally:
        os._exit(1)
