"""Saves what a server sends, and goes on after any interruption."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from winslow_dagster.client.http import Http
from winslow_dagster.errors import ProjectConflict, ServiceUnavailable
from winslow_dagster.storage.disk import disk_errors
from winslow_dagster.storage.store import BytesMoved

CONTINUES_WITHIN_S = 600.0
LOOK_AGAIN_S = 1.0
QUOTES = '"'
Begun = Callable[[str, int], BytesMoved]
"""Called with name and size when a download starts; returns a callback for bytes that have arrived."""


def download(http: Http, path: str, target: Path, started: Begun | None, **query: Any) -> Path:
    """Save what is at a path of the API to the new file `target`.

    What has arrived stays beside it under a name made from the ETag, so that a later call goes on there as long as the
    server has the same. Raises ProjectConflict if the target exists, DiskFull, ServiceUnavailable.
    """
    if target.exists():
        raise ProjectConflict("the file exists", where=str(target), remedy="Choose another name")
    tag, size_bytes = http.tag_and_size(path, **query)
    moved = None if started is None else started(target.name, size_bytes)
    with disk_errors(str(target), disk=target.parent, needed_bytes=size_bytes):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{tag.strip(QUOTES)[:32]}.part")
        with partial.open("ab") as file:
            if moved is not None:
                moved(file.tell())
            pause, good_at = threading.Event(), time.monotonic()
            while file.tell() < size_bytes:
                begin = file.tell()
                try:
                    for piece in http.stream_from(path, begin, tag, **query):
                        file.write(piece)
                        if moved is not None:
                            moved(len(piece))
                except ServiceUnavailable:
                    if file.tell() > begin:
                        good_at = time.monotonic()
                    if time.monotonic() - good_at > CONTINUES_WITHIN_S:
                        raise
                    pause.wait(LOOK_AGAIN_S)
        partial.rename(target)
    return target
