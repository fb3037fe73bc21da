"""`python -m winslow_dagster.services.hidden PROGRAM [ARGUMENT…]`: runs a Python program with a hidden environment.

PROGRAM is a script, or this interpreter with `-m MODULE`. Dagster's own programs cannot hide theirs.
"""

from __future__ import annotations

import runpy
import sys

from winslow_dagster.privacy import hide_environment


def main() -> None:
    """Hide the environment, then become the program."""
    hide_environment()
    program, *arguments = sys.argv[1:]
    if program == sys.executable:
        _, module, *arguments = arguments
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [program, *arguments]
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
