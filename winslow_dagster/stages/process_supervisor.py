"""Supervises one program on behalf of a stage runner that may die: starts it once and records how it ended.

Run as a script by `python -I -S` with the standard library only, so that it starts in milliseconds and needs little
memory for days. It is the program's parent and the subreaper of all its descendants, so that all of them can be found
and none outlives the program. It ignores the signals that end the program: only the runner ends it.
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
CLONE_NEWNS = 0x20000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_SLAVE = 1, 32, 4096, 16384, 1 << 19
KEPT_MOUNT_FLAGS = os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC
NO_PROGRAM = 127
RESERVED_BYTES = 4096


def create_time_s(pid: int) -> float | None:
    """When the process started, in seconds since boot; None if it has ended or is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123  # importing pathlib would double the start
            fields = stat.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in b"ZX" else int(fields[19]) / TICKS_PER_S


def parent_of(pid: int) -> int:
    """The pid of the process's parent; 0 if it has none, or has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123  # as above
            return int(stat.read().rpartition(b")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def descendants(pid: int) -> list[int]:
    """All running descendants of `pid`, parents first."""
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
    """Create `path` unless it exists. Returns True in the one process that created it."""
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
    """Allocate disk space for what `write` will write to `path`: the program may fill the disk."""
    with open(f"{path}.draft", "wb") as file:  # noqa: PTH123  # as above
        os.posix_fallocate(file.fileno(), 0, RESERVED_BYTES)


def write(path: str, content: dict[str, Any]) -> None:
    """Write a small file atomically and sync it to disk."""
    draft = os.open(f"{path}.draft", os.O_RDWR | os.O_CREAT, 0o644)
    text = json.dumps(content).encode()
    os.pwrite(draft, text, 0)
    os.ftruncate(draft, len(text))
    os.fsync(draft)
    os.close(draft)
    os.replace(f"{path}.draft", path)  # noqa: PTH105  # as above


def protect(directories: list[str]) -> None:
    """Make directories read-only for this process and those it starts, in a mount namespace of its own.

    Only a privileged process can do that. File permissions bind all others.
    """
    libc = ctypes.CDLL(None)
    if not directories or libc.unshare(CLONE_NEWNS) != 0:
        return
    libc.mount(None, b"/", None, MS_REC | MS_SLAVE, None)
    for directory in map(os.fsencode, directories):
        kept = os.statvfs(directory).f_flag & KEPT_MOUNT_FLAGS
        libc.mount(directory, directory, None, MS_BIND, None)
        libc.mount(None, directory, None, MS_BIND | MS_REMOUNT | MS_RDONLY | kept, None)


def enter(spec: dict[str, Any]) -> None:
    """In the forked child: become the program. Does not return."""
    failure = ""
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for entrance in spec["entrances"]:
            with open(entrance, "w", encoding="ascii") as file:  # noqa: PTH123  # as above
                file.write("0")
        protect(spec["read_only"])
        null = os.open(os.devnull, os.O_RDONLY)
        streams = [os.open(spec[name], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644) for name in ("stdout", "stderr")]
        for target, source in enumerate((null, *streams)):
            os.dup2(source, target)
        os.closerange(3, 256)
        os.chdir(spec["cwd"])
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        env = dict(spec["env"])
        for name, path in spec["secrets"].items():
            with open(path, encoding="utf-8", newline="") as file:  # noqa: PTH123  # as above
                env[name] = file.read()
        os.execvpe(spec["argv"][0], spec["argv"], env)  # noqa: S606  # no shell is wanted
    except OSError as error:
        failure = str(error)
    write(spec["failure"], {"failure": failure})
    os._exit(NO_PROGRAM)


def supervise(pid: int) -> tuple[int, int]:
    """Wait for the program, then kill and reap its descendants. Returns its wait status and peak memory in bytes."""
    status = 0
    peak_kib = 0
    while True:
        try:
            ended, wait_status, usage = os.wait3(0)
        except ChildProcessError:
            return status, peak_kib * 1024
        peak_kib = max(peak_kib, usage.ru_maxrss)
        if ended == pid:
            status = wait_status
            pid = 0
        if pid == 0:
            for left in descendants(os.getpid()):
                try:
                    os.kill(left, signal.SIGKILL)
                except ProcessLookupError:
                    continue


def main(directory: str) -> None:
    """Run the program of `spec.json` in `directory`, unless another supervisor has claimed it."""
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
    # The runner waits for the end of this stream: from now on its successor finds the claim.
    os.close(1)
    status, peak_bytes = supervise(pid)
    write(f"{directory}/exit.json", {"status": status, "peak_memory_bytes": peak_bytes})


if __name__ == "__main__":
    main(*sys.argv[1:])
