"""What a fork does to become another process: everything that starting `python -m` anew would do, but its imports."""

from __future__ import annotations

import atexit
import importlib
import os
import runpy
import signal
import sys
import time
import traceback
from io import TextIOWrapper
from typing import NoReturn

from setproctitle import getproctitle, setproctitle

from winslow_dagster.engines import daemonize
from winslow_dagster.engines.spawn import Start

FIRST_DESCRIPTOR = 3
"""The standard streams come before it."""

# The title's place in memory is found at the first call, and cannot be found once a variable has been set.
getproctitle()


def become(start: Start, keep: int | None = None) -> None:
    """Turn this fork into a process of its own: descriptors (but `keep`), session, streams, directory, signals, title.

    Raises OSError.
    """
    end = os.sysconf("SC_OPEN_MAX")
    os.closerange(FIRST_DESCRIPTOR, end if keep is None else keep)
    if keep is not None:
        os.closerange(keep + 1, end)
    signal.set_wakeup_fd(-1)
    daemonize.detach(start.cwd, start.log_path)
    restore_python_signals()
    setproctitle(" ".join((start.python, "-m", start.module, *start.args)))


def restore_python_signals() -> None:
    """Set the signal handlers that the interpreter sets at its start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)


class QuickEnd:
    """Registered first with `atexit` and so called last, it ends the process before the interpreter takes itself apart.

    That would take longer than many a stage, and there is nothing left that needs it: threads have ended by then.
    """

    def __init__(self) -> None:
        self.exit_code = 1
        atexit.register(self)

    def __call__(self) -> NoReturn:
        """End the process at once, with its streams flushed."""
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(self.exit_code)


def exit_code_of(start: Start) -> int:
    """Run the module to its end. Prints an error as the interpreter would."""
    try:
        run(start)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)  # noqa: T201  # the process's own log
        return 1
    except BaseException:  # noqa: BLE001  # nothing is above this
        traceback.print_exc()
        return 1
    return 0


def run(start: Start) -> None:
    """Do in this fork what `python -m` does after its start."""
    os.environ.clear()
    os.environ.update(start.env)
    time.tzset()
    if isinstance(sys.stdout, TextIOWrapper):
        # The server's own may be a terminal.
        sys.stdout.reconfigure(line_buffering=False)
    sys.argv = [start.module, *start.args]
    if not sys.flags.safe_path:
        sys.path[0] = start.cwd
        importlib.invalidate_caches()
    # A preloaded module runs once more as the main module, as it does under `python -m`.
    if not hasattr(sys.modules.get(start.module), "__path__"):
        sys.modules.pop(start.module, None)
    runpy.run_module(start.module, run_name="__main__", alter_sys=True)
