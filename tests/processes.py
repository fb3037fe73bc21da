"""Processes that tests start."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

# Whoever runs the tests under nohup wants them to survive the end of the terminal; Python ignores the other two itself.
LEFT_IGNORED = {signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ}


def restore_signals() -> None:
    """Undo what this process inherited, as shells ignore Ctrl-C for background jobs: its children inherit it, too."""
    for number in signal.valid_signals() - LEFT_IGNORED:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


@contextmanager
def running(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A process that the end of the block waits for. A block that fails, also by its time limit, kills it."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
            process.wait()
        finally:
            process.kill()
