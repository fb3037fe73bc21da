"""Keeps one program for a stage runner that may die: starts it once, and writes down how it ended.

Run as a script by `python -I -S`, with the standard library alone, so that it begins in milliseconds and holds little
memory for days. It is the program's parent and adopts every descendant that its own parent left, so that all of them
can be found and none outlives the program. It ignores what ends the program: only its runner ends it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
NO_PROGRAM = 127
RESERVED_BYTES = 4096


def create_time_s(pid: int) -> float | None:
    """When the process began, in seconds since the machine's start; None where it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123  # importing pathlib would double the start
            fields = stat.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in b"ZX" else int(fields[19]) / TICKS_PER_S


def descendants(pid: int) -> list[int]:
    """Every living process below `pid`, parents first."""
    found: list[int] = []
    pending = [pid]
    while pending:
        try:
            with open(f"/proc/{pending[0]}/task/{pending.pop(0)}/children") as children:  # noqa: PTH123  # as above
                below = [int(child) for child in children.read().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        found += below
        pending += below
    return found


def claim(path: str, content: dict[str, Any]) -> bool:
    """Write `path` unless it is there; true for the one process that wrote it."""
    draft = f"{path}.{os.getpid()}"
    with open(draft, "w", encoding="utf-8") as file:  # noqa: PTH123  # as above
        json.dump(content, file)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(draft)  # noqa: PTH108  # as above
    return True


def reserve(path: str) -> None:
    """Set room aside for what `write` will write there: the program may fill the disk."""
    with open(f"{path}.draft", "wb") as file:  # noqa: PTH123  # as above
        os.posix_fallocate(file.fileno(), 0, RESERVED_BYTES)


def write(path: str, content: dict[str, Any]) -> None:
    """Write a small file, whole or not at all, and see it to the disk."""
    draft = os.open(f"{path}.draft", os.O_RDWR | os.O_CREAT, 0o644)
    text = json.dumps(content).encode()
    os.pwrite(draft, text, 0)
    os.ftruncate(draft, len(text))
    os.fsync(draft)
    os.close(draft)
    os.replace(f"{path}.draft", path)  # noqa: PTH105  # as above


def enter(spec: dict[str, Any]) -> None:
    """In the fresh child: become the program. Does not return."""
    said = ""
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for entrance in spec["entrances"]:
            with open(entrance, "w", encoding="ascii") as file:  # noqa: PTH123  # as above
                file.write("0")
        null = os.open(os.devnull, os.O_RDONLY)
        streams = [os.open(spec[name], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644) for name in ("stdout", "stderr")]
        for target, source in enumerate((null, *streams)):
            os.dup2(source, target)
        os.closerange(3, 256)
        os.chdir(spec["cwd"])
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.execvpe(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606  # no shell is wanted
    except OSError as error:
        said = str(error)
    write(spec["failure"], {"failure": said})
    os._exit(NO_PROGRAM)


def keep(pid: int) -> tuple[int, int]:
    """Wait for the program, then end and reap all that it left. Gives its wait status and its peak memory in bytes."""
    status = 0
    peak_kib = 0
    while True:
        try:
            ended, how, used = os.wait3(0)
        except ChildProcessError:
            return status, peak_kib * 1024
        peak_kib = max(peak_kib, used.ru_maxrss)
        if ended == pid:
            status = how
            pid = 0
        if pid == 0:
            for left in descendants(os.getpid()):
                try:
                    os.kill(left, signal.SIGKILL)
                except ProcessLookupError:
                    continue


def main(directory: str) -> None:
    """Serve the attempt whose `spec.json` lies in `directory`, unless another keeper does or did."""
    with open(f"{directory}/spec.json", encoding="utf-8") as file:  # noqa: PTH123  # as above
        spec = json.load(file)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    if not claim(
        f"{directory}/process_supervisor.json", {"pid": os.getpid(), "create_time_s": create_time_s(os.getpid())}
    ):
        return
    reserve(f"{directory}/exit.json")
    pid = os.fork()
    if pid == 0:
        enter(spec)
    # The runner waits for the end of this stream: from here on its successor finds the claim.
    os.close(1)
    status, peak_bytes = keep(pid)
    write(f"{directory}/exit.json", {"status": status, "peak_memory_bytes": peak_bytes})


if __name__ == "__main__":
    main(*sys.argv[1:])
