"""Detaches a process from its starter; shared by both ways to start one.

Imports little, and only of the standard library: `spawn.py` runs this file as a script under `python -I -S`, which
starts in 8 ms, because a caller with threads must not fork and continue in Python.
"""

from __future__ import annotations

import os
import signal
import sys


def detach(cwd: str, log_path: str) -> None:
    """Detach this fresh fork: session, directory, standard streams, signals. Raises OSError."""
    os.setsid()
    os.chdir(cwd)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)
    os.close(null)
    os.close(log)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is not signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def main(log_path: str, cwd: str, *program: str) -> None:
    """Start `program` and print its pid; if that fails, exit with 1 and the reason on stderr.

    Remains its parent until stdin ends, so that the pid is not reused before the caller has read its start time.
    """
    failure_reader, failure_writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            detach(cwd, log_path)
            os.execv(program[0], program)  # noqa: S606  # no shell
        except OSError as error:
            os.write(failure_writer, str(error).encode())
        os._exit(127)
    os.close(failure_writer)
    # A successful exec closes the write end: nothing to read means that the program runs.
    if failure := os.read(failure_reader, 4096):
        sys.exit(failure.decode())
    os.write(1, f"{pid}\n".encode())
    os.read(0, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
