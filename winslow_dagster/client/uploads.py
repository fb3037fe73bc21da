"""Sends files to the pool in parts, and goes on after any interruption."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path

from winslow_dagster.client.http import API, Http, part
from winslow_dagster.errors import (
    InputRejected,
    ProjectConflict,
    ServiceUnavailable,
    StoreError,
    UploadBusy,
    UploadEnded,
    UploadOffsetWrong,
)
from winslow_dagster.projects.domain.pool import PoolDetails
from winslow_dagster.projects.domain.upload import PoolVideos, Upload, UploadKind, UploadLists, fingerprint_of
from winslow_dagster.storage.folder_stream import FolderStream

PIECE_BYTES = 1 << 20
SMALL_PART_BYTES = 900 << 10
"""Below the megabyte that a proxy lets through which nobody has configured."""
BEGINS_WITHIN_S = 60.0
CONTINUES_WITHIN_S = 600.0
LOOK_AGAIN_S = 1.0
PART_HEADERS = {"Content-Type": "application/offset+octet-stream", "Tus-Resumable": "1.0.0"}
BytesSent = Callable[[int], None]
"""Called with the number of bytes sent since the last call. It is negative for those that have to be sent again."""


@dataclass(frozen=True, slots=True)
class _Content:
    """What is sent. `read(begin, length)` gives the bytes from a place on."""

    name: str
    kind: UploadKind
    size_bytes: int
    read: Callable[[int, int], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class _Aim:
    """The name in the pool that was asked for, and the file of the pool whose place is taken."""

    name: str | None = None
    replaces: str | None = None


class UploadClient:
    """The uploads of the person whose token it is."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def lists(self) -> UploadLists:
        """What can be continued, and what ended lately."""
        return self._http.get(UploadLists, "/uploads")

    def upload(self, upload_id: str) -> Upload:
        """One of them. Raises NotFound, Forbidden."""
        return self._http.get(Upload, f"/uploads/{upload_id}")

    def checks(self) -> PoolVideos:
        """The videos of the pool, and what was found when they were read to their end."""
        return self._http.get(PoolVideos, "/footage-checks")

    def cancel(self, upload_id: str) -> None:
        """Forget an upload, and what has arrived of it. Raises NotFound, Forbidden."""
        self._http.send("DELETE", f"/uploads/{upload_id}")

    def begin(self, path: Path, name: str | None = None, replaces: str | None = None) -> Upload:
        """The upload of this file or directory that can be continued, whoever began it and where, or else a new one.

        Raises InputRejected, ProjectConflict for a name that is taken, DiskFull, NotFound if it `replaces` nothing.
        """
        return self._begin(_content_of(path), _Aim(name, replaces))

    def _begin(self, content: _Content, aim: _Aim) -> Upload:
        fingerprint = fingerprint_of(content.size_bytes, content.read)
        replaced = None if aim.replaces is None else self._http.get(PoolDetails, f"/pool/{part(aim.replaces)}").file.id
        found = self._unfinished(content, fingerprint, aim.name, replaced)
        if found is not None:
            return found
        told = {"filename": content.name, "fingerprint": fingerprint, "kind": content.kind}
        told |= {"name": aim.name} if aim.name else {}
        told |= {"replaces": aim.replaces} if aim.replaces else {}
        metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in told.items())
        headers = {"Upload-Length": str(content.size_bytes), "Upload-Metadata": metadata, "Tus-Resumable": "1.0.0"}
        try:
            answer = self._http.exchange("POST", "/uploads", headers=headers)
        except ProjectConflict:
            # Somebody else may have begun to send the same file just now.
            found = self._unfinished(content, fingerprint, aim.name, replaced)
            if found is None:
                raise
            return found
        return self.upload(answer.headers["Location"].removeprefix(f"{API}/uploads/"))

    def _unfinished(self, content: _Content, fingerprint: str, name: str | None, replaced: str | None) -> Upload | None:
        same = (each for each in self.lists().unfinished if each.fingerprint == fingerprint)
        wanted = (content.name, content.kind, replaced)
        return next(
            (
                each
                for each in same
                if (each.file_name, each.kind, each.replaces) == wanted and name in {None, each.name}
            ),
            None,
        )

    def send(
        self,
        path: str | Path,
        name: str | None = None,
        sent: BytesSent | None = None,
        *,
        replaces: str | None = None,
    ) -> Upload:
        """Send a file or a directory to the pool, wait until it is there, and say what was found in it.

        It takes the place and the name of the file of the pool that it `replaces`, which goes to the trash. Goes on
        where an earlier call, or a browser, stopped. An interruption is waited for, for ten minutes at most. Raises
        what `begin` raises, ServiceUnavailable if the server stays away, StoreError if the pool takes nothing.
        """
        content = _content_of(Path(path).expanduser())
        upload, pause, good_at = self._begun(content, _Aim(name, replaces)), threading.Event(), time.monotonic()
        part_bytes, offset_bytes = upload.size_bytes, upload.received_bytes
        told = _Told(sent)
        told.reached(offset_bytes)
        while upload.state == "receiving":
            try:
                if offset_bytes < upload.size_bytes:
                    length_bytes = min(part_bytes, upload.size_bytes - offset_bytes)
                    pieces = told.counted(content.read(offset_bytes, length_bytes))
                    if self._patch(upload, offset_bytes, length_bytes, pieces) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                        part_bytes = SMALL_PART_BYTES
                upload = self.upload(upload.id)
                if not upload.message:
                    good_at = time.monotonic()
                elif time.monotonic() - good_at > CONTINUES_WITHIN_S:
                    raise StoreError(upload.message, where=f"upload of {upload.file_name}")
            except UploadEnded:
                # Somebody else, who sent the same file, sent its last part.
                upload = self.upload(upload.id)
            except (ServiceUnavailable, UploadBusy, UploadOffsetWrong):
                if time.monotonic() - good_at > CONTINUES_WITHIN_S:
                    raise
                pause.wait(LOOK_AGAIN_S)
                upload = self._again(upload)
            if upload.received_bytes == upload.size_bytes and upload.state == "receiving":
                pause.wait(LOOK_AGAIN_S)
            offset_bytes = upload.received_bytes
            told.reached(offset_bytes if upload.state == "receiving" else upload.size_bytes)
        return upload

    def _begun(self, content: _Content, aim: _Aim) -> Upload:
        pause, until_s = threading.Event(), time.monotonic() + BEGINS_WITHIN_S
        while True:
            try:
                return self._begin(content, aim)
            except ServiceUnavailable:
                # If it was begun all the same, the next try finds it.
                if time.monotonic() > until_s:
                    raise
                pause.wait(LOOK_AGAIN_S)

    def _patch(self, upload: Upload, offset_bytes: int, length_bytes: int, pieces: Iterator[bytes]) -> int:
        """Send a part. Returns the status: that of a part that is too large for a proxy is no error here."""
        # Without a length, httpx sends chunks, which cost the server more processor time.
        headers = {**PART_HEADERS, "Upload-Offset": str(offset_bytes), "Content-Length": str(length_bytes)}
        answer = self._http.exchange(
            "PATCH", f"/uploads/{upload.id}", headers=headers, content=pieces, too_large_is_an_answer=True
        )
        return answer.status_code

    def _again(self, upload: Upload) -> Upload:
        try:
            return self.upload(upload.id)
        except ServiceUnavailable:
            return upload


def _content_of(path: Path) -> _Content:
    if path.is_dir():
        stream = FolderStream(path)
        return _Content(path.resolve().name, "directory", stream.size_bytes, stream.read)
    if not path.is_file():
        raise InputRejected("no such file", where=str(path))
    return _Content(path.name, "file", path.stat().st_size, partial(_pieces, path))


def _pieces(path: Path, offset_bytes: int, length_bytes: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset_bytes)
        while length_bytes > 0:
            piece = file.read(min(PIECE_BYTES, length_bytes))
            if not piece:
                raise InputRejected("the file has become shorter meanwhile", where=str(path))
            yield piece
            length_bytes -= len(piece)


class _Told:
    """What somebody was told about how far it is."""

    def __init__(self, sent: BytesSent | None) -> None:
        self._sent = sent
        self._bytes = 0

    def counted(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The pieces, each of which is told once it was sent."""
        for piece in pieces:
            yield piece
            self.reached(self._bytes + len(piece))

    def reached(self, offset_bytes: int) -> None:
        """So much is there: a part that was refused is not."""
        more_bytes, self._bytes = offset_bytes - self._bytes, offset_bytes
        if self._sent is not None and more_bytes:
            self._sent(more_bytes)
