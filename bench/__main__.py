"""`python -m bench [--table] [name ...]`: prints every figure as one JSON line on stdout; all else goes to stderr.

With --table, also writes them into `docs/benchmarks.md`, in place of earlier ones of the same benchmarks. With
--upload-size, `upload` sends a file of that size instead of 2 GiB.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TextIO

from bench.figure import Figure
from bench.table import PAGE, write_block

FRAME = frozenset({"__init__", "__main__", "figure", "table"})
EXIT_USAGE = 2
EXIT_TERMINATED = 128 + signal.SIGTERM


def benchmarks() -> tuple[str, ...]:
    """The available names: modules or packages of this directory with `figures()`."""
    here = Path(__file__).parent
    files = {file.stem: file for file in here.glob("*.py") if file.stem not in FRAME}
    files |= {file.parent.name: file for file in here.glob("*/__init__.py")}
    return tuple(sorted(name for name, file in files.items() if "def figures(" in file.read_text()))


@contextmanager
def figures_alone_on_stdout() -> Iterator[TextIO]:
    """Redirect the output of benchmarks and the programs they start to stderr; yields the real stdout."""
    sys.stdout.flush()
    stdout_fd = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(stdout_fd), "w", buffering=1) as stream:
            yield stream
    finally:
        sys.stdout.flush()
        os.dup2(stdout_fd, 1)
        os.close(stdout_fd)


def main(arguments: Sequence[str]) -> int:
    """Run the named benchmarks, or all. A missed goal is not an error; an unknown name is (2)."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help="a benchmark; all if there is none")
    parser.add_argument("--table", action="store_true", help="also write the figures into docs/benchmarks.md")
    parser.add_argument("--upload-size", metavar="SIZE", help="size of the file that `upload` sends, such as 20GiB")
    options = parser.parse_args(arguments)
    if options.upload_size:
        os.environ["WINSLOW_BENCH_UPLOAD_SIZE"] = options.upload_size
    names, known = options.names, benchmarks()
    if unknown := [name for name in names if name not in known]:
        print(f"no benchmark named {', '.join(unknown)}; available: {', '.join(known) or 'none'}", file=sys.stderr)
        return EXIT_USAGE
    # However a benchmark ends, it ends what it has started.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(EXIT_TERMINATED))
    with figures_alone_on_stdout() as stdout:
        for name in names or known:
            print(f"bench: {name}", file=sys.stderr)
            shown: list[Figure] = []
            with closing(import_module(f"bench.{name}").figures()) as found:
                for figure in found:
                    print(figure.line(), file=stdout)
                    shown.append(figure)
            if options.table:
                write_block(PAGE, name, shown)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
