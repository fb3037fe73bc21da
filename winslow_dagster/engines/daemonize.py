"""What makes a process a detached one, shared by both ways to start it.

Standard library only, and few modules of it: `spawn.py` runs this file as a script under `python -I -S`, which begins
in 8 ms, because a caller that has threads must not fork and go on in Python.
"""

from __future__ import annotations

import os
import signal
import sys


def detach(cwd: str, log_path: str) -> None:
    """Make this fresh fork a process of its own: session, directory, standard streams, signals. Raises OSError."""
    os.setsid()
    os.chdir(cwd)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)
    os.close(null)
    os.close(log)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is not signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def main(log_path: str, cwd: str, *program: str) -> None:
    """Start `program` and print its pid; or end with 1 and the reason on stderr.

    Stays its parent until stdin ends, so that the pid cannot be another's before the caller has looked at it.
    """
    said, says = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            detach(cwd, log_path)
            os.execv(program[0], program)  # noqa: S606  # no shell is wanted
        except OSError as error:
            os.write(says, str(error).encode())
        os._exit(127)
    os.close(says)
    # The write end goes away by the exec: nothing to read means that the program runs.
    if failure := os.read(said, 4096):
        sys.exit(failure.decode())
    os.write(1, f"{pid}\n".encode())
    os.read(0, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
