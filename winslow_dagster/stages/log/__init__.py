"""The live log of a stage attempt: written, searched for its rules, followed, mirrored.

One writer and any number of readers share only files. Reasons and measurements: docs/decisions/0011.
"""

from winslow_dagster.stages.log.docker_stream import DockerLogDemuxer
from winslow_dagster.stages.log.lines import LogLine, Stream
from winslow_dagster.stages.log.mask import SecretMask
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
    "SecretMask",
    "StoredLines",
    "Stream",
    "StreamMirror",
]
