"""What makes a process a detached one, shared by both ways to start it.

Standard library only, and few modules of it: `spawn.py` runs this file as a script under `python -I -S`, which begins
in 8 ms, because a caller that has threads must not fork and go on in Python.
"""

from __future__ import annotations

import os
import signal
import sys

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def create_time_s(pid: int) -> float | None:
    """When the process began, in seconds since the machine's start; None where it is gone or a zombie.

    Since the start and not since the epoch, because setting the clock moves what the kernel derives for the latter.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123  # importing pathlib would double the start
            # The name comes second, in parentheses, and may itself hold blanks and parentheses.
            fields = stat.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in b"ZX" else int(fields[19]) / TICKS_PER_S


def settle_in(cwd: str, log_path: str) -> None:
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
    """Start `program` and print its pid and create time; or end with 1 and the reason on stderr."""
    said, says = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            settle_in(cwd, log_path)
            os.execv(program[0], program)  # noqa: S606  # no shell is wanted
        except OSError as error:
            os.write(says, str(error).encode())
        os._exit(127)
    os.close(says)
    # It is this process's unreaped child, so the pid is still its own even if it has ended already.
    create_time = create_time_s(pid)
    # The write end goes away by the exec: nothing to read means that the program runs.
    if failure := os.read(said, 4096):
        sys.exit(failure.decode())
    os.write(1, f"{pid} {create_time or 0.0}".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
