"""Copies a container's log into the stage's log, through restarts of the runner and of the daemon."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.stages.launchers.docker.daemon_api import ConnectionFailed
from winslow_dagster.stages.launchers.docker.log_stream import ContainerLog
from winslow_dagster.stages.log import DockerLogDemuxer, LogWriter, ResumePoint

NS_PER_S = 1_000_000_000
CAUGHT_UP_S = 1.0
RECONNECT_S = 0.2
REFUSALS_AT_THE_END = 25


class ContainerFollower:
    """Follows one container's log.

    `behind_s` is the age of the last line read, while there is more to read. `problem` is why the log cannot be read at
    present, or empty.
    """

    def __init__(self) -> None:
        self.behind_s = 0.0
        self.caught_up = False
        self.problem = ""

    def follow(self, log: ContainerLog, writer: LogWriter, ended: threading.Event, stop: threading.Event) -> str:
        """Copy the log until the container has ended and all of it is written, or `stop` is set.

        Returns why the end is missing, or an empty text. An unreachable daemon is waited for; one that refuses to read
        the log of an ended container is not. Raises OSError if the log cannot be written.
        """
        refusals = 0
        while not stop.is_set():
            # The end of a followed log proves nothing: only what is read after the container's end is complete.
            at_its_end = ended.is_set()
            try:
                point = writer.resume_point()
                chunks = log.until_end(point.since_ns, stop) if at_its_end else self._chunks(log, point, ended, stop)
                self._copy(chunks, point, writer)
            except ConnectionFailed as error:
                self.problem = f"the Docker daemon does not respond: {error}"
            except ServiceUnavailable as error:
                if str(error) != self.problem:
                    self.problem = str(error)
                    writer.note(f"{self.problem}; retrying")
                refusals += at_its_end
                if refusals >= REFUSALS_AT_THE_END:
                    return f"the end of the container's log could not be read: {self.problem}"
            else:
                self.problem = ""
                if at_its_end and not stop.is_set():
                    return ""
            (stop if at_its_end else ended).wait(RECONNECT_S)
        return "reading was stopped"

    def _copy(self, chunks: Iterator[bytes], point: ResumePoint, writer: LogWriter) -> None:
        """Copy what one connection sends. Raises ConnectionFailed, ServiceUnavailable."""
        demuxer = DockerLogDemuxer(point.stored)
        for chunk in chunks:
            entries = demuxer.feed(chunk)
            if entries:
                writer.write_entries(entries)
                self.behind_s = time.time() - entries[-1].at_ns / NS_PER_S
                self.caught_up = self.caught_up or self.behind_s < CAUGHT_UP_S

    def _chunks(
        self, log: ContainerLog, point: ResumePoint, ended: threading.Event, stop: threading.Event
    ) -> Iterator[bytes]:
        """What the daemon sends until the connection ends, or until the container has ended and nothing is left."""
        for chunk in log.follow(point.since_ns, stop):
            if chunk:
                yield chunk
                continue
            self.behind_s = 0.0
            self.caught_up = True
            if ended.is_set():
                return
