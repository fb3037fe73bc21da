"""Copies a container's log into the stage's log, through restarts of the runner and of the daemon."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.stages.launchers.docker.log_stream import ContainerLog
from winslow_dagster.stages.log import DockerLogDemuxer, LogWriter

NS_PER_S = 1_000_000_000
CAUGHT_UP_S = 1.0
RECONNECT_S = 0.2
TRIES_AT_THE_END = 5


class ContainerFollower:
    """Follows one container's log. `behind_s` is the age of the last line read, while there is more to read."""

    def __init__(self) -> None:
        self.behind_s = 0.0
        self.caught_up = False

    def follow(self, log: ContainerLog, writer: LogWriter, ended: threading.Event, stop: threading.Event) -> None:
        """Copy the log until the container has ended and its last line is written, or `stop` is set.

        Raises OSError if the log cannot be written.
        """
        tries = 0
        problem = ""
        while not stop.is_set() and tries < TRIES_AT_THE_END:
            try:
                self._read(log, writer, stop)
                # The end of the connection proves nothing: the daemon may have died.
                tries += ended.wait(RECONNECT_S)
                if ended.is_set() and self._complete(log, writer):
                    return
            except ServiceUnavailable as error:
                if str(error) != problem:
                    problem = str(error)
                    writer.write("winslow", f"{problem}; retrying\n".encode())
                tries += ended.wait(RECONNECT_S)
        if not stop.is_set():
            writer.write("winslow", b"the end of the container's log could not be read\n")

    def _read(self, log: ContainerLog, writer: LogWriter, stop: threading.Event) -> None:
        """Copy from one connection until it ends. Raises ServiceUnavailable if the daemon cannot read the log."""
        point = writer.resume_point()
        demuxer = DockerLogDemuxer(point.stored)
        for chunk in readable(log.follow(point.since_ns, stop)):
            if not chunk:
                self.behind_s = 0.0
                self.caught_up = True
                continue
            entries = demuxer.feed(chunk)
            if entries:
                writer.write_entries(entries)
                self.behind_s = time.time() - entries[-1].at_ns / NS_PER_S
                self.caught_up = self.caught_up or self.behind_s < CAUGHT_UP_S

    def _complete(self, log: ContainerLog, writer: LogWriter) -> bool:
        """Whether the last line that Docker has is in the stage's log. Raises ServiceUnavailable."""
        last = DockerLogDemuxer().feed(b"".join(readable(log.last())))
        return not last or last[-1].at_ns <= writer.resume_point().at_ns


def readable(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks until the connection fails. Catches errors of reading only, not of the caller."""
    while True:
        try:
            chunk = next(chunks, None)
        except OSError:
            return
        if chunk is None:
            return
        yield chunk
