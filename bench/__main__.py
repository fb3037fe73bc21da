"""`python -m bench [name ...]`: prints every figure as one JSON line on stdout; everything else goes to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TextIO

from bench.figure import Figure

FRAME = frozenset({"__init__", "__main__", "figure"})
EXIT_USAGE = 2


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


def main(names: Sequence[str]) -> int:
    """Run the named benchmarks, or all. A missed goal is not an error; an unknown name is (2)."""
    known = benchmarks()
    if unknown := [name for name in names if name not in known]:
        print(f"no benchmark named {', '.join(unknown)}; available: {', '.join(known) or 'none'}", file=sys.stderr)
        return EXIT_USAGE
    with figures_alone_on_stdout() as stdout:
        for name in names or known:
            print(f"bench: {name}", file=sys.stderr)
            found: Iterator[Figure] = import_module(f"bench.{name}").figures()
            for figure in found:
                print(figure.line(), file=stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
