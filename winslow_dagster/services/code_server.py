"""`python -m winslow_dagster.services.code_server`: Dagster's code server, which ends with the code that it serves.

It keeps the pipelines loaded in a child, so that a reload can replace that. If the system ends the child, perhaps
because the machine ran out of memory, Dagster's server does not replace it, and answers every request with an error.
Here it ends as well, and the supervisor starts both again.
"""

from __future__ import annotations

import os
import runpy
import sys
from threading import Event, Thread

NO_CODE_EXIT_CODE = 70
"""EX_SOFTWARE."""
POLL_S = 1.0


def end_with_the_last_child() -> None:
    """From now on, this process ends once it has had children and all of them have ended."""
    Thread(target=_wait_for_the_last, name="last-child", daemon=True).start()


def _wait_for_the_last() -> None:
    had_one = False
    while True:
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # Raises if there is no child.
            had_one = True
            # A reload starts the next child before it ends the last. Python's own waits allow for a reaped child.
            os.wait()
        except ChildProcessError:
            if had_one:
                print("the process with the loaded code has ended", file=sys.stderr, flush=True)  # noqa: T201  # its log
                os._exit(NO_CODE_EXIT_CODE)
            Event().wait(POLL_S)


def main(arguments: list[str]) -> None:
    """Run the code server with the arguments of `dagster code-server start`."""
    end_with_the_last_child()
    sys.argv = ["dagster", "code-server", "start", *arguments]
    runpy.run_module("dagster", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
