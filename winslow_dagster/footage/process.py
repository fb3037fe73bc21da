"""Starts a confined process that decodes one file, hands it what it asks for, and ends it when it takes too long."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from winslow_dagster.errors import FootageUnreadable
from winslow_dagster.footage.source import Source
from winslow_dagster.formatting import format_duration, format_size

PACKAGES = str(Path(__file__).parents[2])
PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from winslow_dagster.footage.decoding.main import main; main(sys.argv[2])"
)
RANGE = struct.Struct("<QQ")
MOST_READ_AT_ONCE = 1 << 20
PART_BYTES = 1 << 18
HEAD_BYTES = 1 << 20
"""The largest answer beside the picture."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process may use. `answer_bytes`: the largest answer; `written_bytes`: the largest file it may write."""

    wall_s: float
    cpu_s: int
    memory_bytes: int = 3 << 30
    answer_bytes: int = 256 << 20
    written_bytes: int = 0


def decode(
    source: Source,
    task: str,
    limits: Limits,
    progress: Callable[[int], None] | None = None,
    **arguments: Any,
) -> tuple[dict[str, Any], bytes]:
    """What the decoder answers: a few facts, and bytes. Arguments that are open files are handed over.

    Raises FootageUnreadable with the reason, StoreError if the file cannot be read.
    """
    with ExitStack() as stack:
        channel: socket.socket | None = None
        if source.path is not None:
            handed = stack.enter_context(source.path.open("rb")).fileno()
        else:
            channel, theirs = socket.socketpair()
            stack.enter_context(channel)
            stack.enter_context(theirs)
            handed = theirs.fileno()
        opened = {name: value.fileno() for name, value in arguments.items() if hasattr(value, "fileno")}
        request = {
            **arguments,
            **opened,
            "task": task,
            "parent": os.getpid(),
            "file": handed,
            "size_bytes": source.size_bytes,
            "by_ranges": channel is not None,
            "memory_bytes": limits.memory_bytes,
            "cpu_s": limits.cpu_s,
            "written_bytes": limits.written_bytes,
        }
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", PROGRAM, PACKAGES, json.dumps(request)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            # Threads would reserve 64 MiB of the limit each.
            env={"MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"},
            pass_fds=(handed, *opened.values()),
            start_new_session=True,
        )
        try:
            answer = _answer(process, source, channel, limits, progress)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
    return _understood(source, answer, process.returncode, limits)


def _answer(
    process: subprocess.Popen[bytes],
    source: Source,
    channel: socket.socket | None,
    limits: Limits,
    progress: Callable[[int], None] | None,
) -> bytes:
    """All that the process writes to its end. Serves the ranges that it asks for meanwhile."""
    answer = bytearray()
    deadline = time.monotonic() + limits.wall_s
    output: IO[bytes] = process.stdout  # type: ignore[assignment]  # it is a pipe
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        if channel is not None:
            selector.register(channel, selectors.EVENT_READ)
        while True:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise _too_much(source, f"more than {format_duration(limits.wall_s)}")
            for key, _ in selector.select(left_s):
                if key.fileobj is channel and channel is not None:
                    if not _serve(channel, source, deadline):
                        selector.unregister(channel)
                    continue
                part = os.read(output.fileno(), PART_BYTES)
                if not part:
                    return bytes(answer)
                answer += part
                while progress is not None and (end := answer.find(b"\n")) >= 0 and answer[:end].isdigit():
                    progress(int(answer[: min(end, 18)]))
                    del answer[: end + 1]
                if len(answer) > limits.answer_bytes:
                    raise _too_much(source, f"a picture of more than {format_size(limits.answer_bytes)}")


def _serve(channel: socket.socket, source: Source, deadline: float) -> bool:
    """Send one range. Returns False if the process has closed the channel."""
    channel.settimeout(max(0.1, deadline - time.monotonic()))
    try:
        asked = channel.recv(RANGE.size, socket.MSG_WAITALL)
        if len(asked) < RANGE.size:
            return False
        begin, end = RANGE.unpack(asked)
        end = min(end, source.size_bytes, begin + MOST_READ_AT_ONCE)
        if begin < end and source.read is not None:
            channel.sendall(source.read(begin, end))
    except (ConnectionError, TimeoutError):
        return False
    return True


def _understood(source: Source, answer: bytes, exit_status: int, limits: Limits) -> tuple[dict[str, Any], bytes]:
    head, _, content = answer.partition(b"\n")
    if not head or len(head) > HEAD_BYTES:
        if exit_status == -signal.SIGXFSZ:
            raise _too_much(source, f"more than {format_size(limits.written_bytes)} of disk space")
        if exit_status in {-signal.SIGXCPU, -signal.SIGKILL}:
            raise _too_much(source, f"more than {format_duration(limits.cpu_s)} of processor time")
        raise FootageUnreadable("its decoder crashed: it is damaged", where=source.name)
    try:
        facts = json.loads(head)
    except ValueError as error:
        raise FootageUnreadable("its decoder crashed: it is damaged", where=source.name) from error
    if not isinstance(facts, dict):
        raise FootageUnreadable("its decoder crashed: it is damaged", where=source.name)
    if "refused" in facts:
        raise FootageUnreadable(str(facts["refused"]), where=source.name, expected=str(facts.get("expected", "")))
    return facts, content


def _too_much(source: Source, what: str) -> FootageUnreadable:
    return FootageUnreadable(f"it would take {what} to decode it", where=source.name)
