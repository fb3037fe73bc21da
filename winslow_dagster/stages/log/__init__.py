"""The live log of a stage attempt: written, read for its rules, followed, mirrored.

One writer, any number of readers, and only files between them. Why it is so, and how fast: docs/decisions/0011.
"""

from winslow_dagster.stages.log.docker_stream import DockerLogDemuxer
from winslow_dagster.stages.log.lines import LogLine, Stream
from winslow_dagster.stages.log.mirror import StreamMirror
from winslow_dagster.stages.log.reader import LogReader, LogWindow
from winslow_dagster.stages.log.resume import Entry, ResumePoint, StoredLines
from winslow_dagster.stages.log.rules import RuleMatcher
from winslow_dagster.stages.log.writer import LogWriter

__all__ = [
    "DockerLogDemuxer",
    "Entry",
    "LogLine",
    "LogReader",
    "LogWindow",
    "LogWriter",
    "ResumePoint",
    "RuleMatcher",
    "StoredLines",
    "Stream",
    "StreamMirror",
]
