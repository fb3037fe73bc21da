"""Operations on the keys of an S3 bucket. Large files are transferred in parallel parts, with bounded memory."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore

from winslow_dagster.errors import StoreError
from winslow_dagster.storage.checksum import new_hasher
from winslow_dagster.storage.disk import disk_errors, disk_full, free_bytes
from winslow_dagster.storage.parallel import each
from winslow_dagster.storage.s3_clients import S3Clients
from winslow_dagster.storage.s3_errors import S3Place, error_code, s3_errors

if TYPE_CHECKING:
    from winslow_dagster.storage.store import BytesMoved

PART_BYTES = 16 << 20
MOST_PARTS = 9_500  # S3 allows 10,000
PARTS_AT_ONCE = 8
RANGE_BYTES = 64 << 20
RANGES_AT_ONCE = 4  # more was not faster, and each costs memory
PIECE_BYTES = 1 << 20
KEYS_A_DELETION = 1000  # S3's limit


@dataclass(frozen=True, slots=True)
class S3Object:
    """An object in a listing. `etag` changes with the content."""

    key: str
    size_bytes: int
    etag: str
    modified_at: datetime


class S3Bucket:
    """A bucket. All methods raise StoreError. `patience_s`: how long to wait for a server that does not respond."""

    def __init__(self, place: S3Place, patience_s: float) -> None:
        self.place = place
        self._clients = S3Clients(place, patience_s)

    def get(self, key: str) -> bytes | None:
        """The content of a small object, or None if it does not exist."""
        with s3_errors(self.place, key):
            try:
                return bytes(obstore.get(self._clients.bulk, key).bytes())
            except FileNotFoundError as error:
                if error_code(error) == "NoSuchKey":
                    return None
                raise

    def put(self, key: str, content: bytes) -> None:
        """Write a small object atomically."""
        with s3_errors(self.place, key):
            obstore.put(self._clients.bulk, key, content, use_multipart=False)

    def upload(self, source: Path, key: str, moved: BytesMoved | None, metadata: dict[str, str] | None = None) -> str:
        """Write a file in parallel parts, atomically. Returns the blake3 of what was sent."""
        size_bytes = source.stat().st_size
        part_bytes = max(PART_BYTES, math.ceil(size_bytes / MOST_PARTS))
        hasher = new_hasher()

        def parts() -> Iterator[bytes]:
            with disk_errors(str(source), disk=source), source.open("rb", buffering=0) as file:
                sent_bytes = 0
                while part := file.read(min(part_bytes, size_bytes - sent_bytes)):
                    sent_bytes += len(part)
                    hasher.update(part)
                    yield part
                    if moved:
                        moved(len(part))

        with s3_errors(self.place, key):
            if size_bytes < PART_BYTES:
                obstore.put(self._clients.bulk, key, b"".join(parts()), attributes=metadata, use_multipart=False)
            else:
                obstore.put(
                    self._clients.bulk,
                    key,
                    parts(),
                    attributes=metadata,
                    use_multipart=True,
                    chunk_size=part_bytes,
                    max_concurrency=PARTS_AT_ONCE,
                )
        return hasher.hexdigest()

    def download(self, key: str, size_bytes: int, target: Path, moved: BytesMoved | None) -> None:
        """Write an object to the new file `target` in parallel ranges, with one piece of each in memory."""
        with disk_errors(key, disk=target.parent, needed_bytes=size_bytes):
            if size_bytes > free_bytes(target.parent):
                raise disk_full(key, disk=target.parent, needed_bytes=size_bytes)
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                parts = [
                    range(start, min(start + RANGE_BYTES, size_bytes)) for start in range(0, size_bytes, RANGE_BYTES)
                ]
                os.ftruncate(descriptor, size_bytes)
                each(partial(self._download_range, key, descriptor, moved), parts, at_once=RANGES_AT_ONCE)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _download_range(self, key: str, descriptor: int, moved: BytesMoved | None, part: range) -> None:
        offset = part.start
        for piece in self._pieces(key, part):
            content = bytes(piece)
            # Zeros stay a hole of the new file.
            view, at = memoryview(content if content.lstrip(b"\0") else b""), offset
            while view:
                written = os.pwrite(descriptor, view, at)
                view = view[written:]
                at += written
            offset += len(content)
            if moved:
                moved(len(piece))
        if offset != part.stop:
            raise self._short(key, part.stop - offset)

    def _pieces(self, key: str, part: range) -> Iterator[bytes]:
        """The bytes of a range as they arrive. Translates errors of the client only, not of the caller."""
        with s3_errors(self.place, key):
            response = obstore.get(self._clients.bulk, key, options={"range": (part.start, part.stop)})
            pieces = iter(response.stream(PIECE_BYTES))
        while True:
            with s3_errors(self.place, key):
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    def read_range(self, key: str, start: int, end: int) -> bytes:
        """The bytes from `start` to `end` (exclusive); both must be inside the object."""
        with s3_errors(self.place, key):
            return bytes(obstore.get_range(self._clients.bulk, key, start=start, end=end))

    def head(self, key: str) -> dict[str, str]:
        """The metadata of an existing object."""
        return dict(self._call(key, "head_object", Key=key)["Metadata"])

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        """All keys in the directory `prefix`, at any depth, with their sizes in bytes. Fetches a page at a time."""
        # Each commit lists, and the client of the other requests takes half a second to import and to make.
        with s3_errors(self.place, prefix):
            for page in obstore.list(self._clients.bulk, prefix):
                yield from ((found["path"], found["size"]) for found in page)

    def objects(self, prefix: str) -> Iterator[S3Object]:
        """All objects whose keys begin with `prefix`. Fetches a page at a time."""
        more: dict[str, str] = {}
        while True:
            page = self._call(prefix, "list_objects_v2", Prefix=prefix, **more)
            for item in page.get("Contents", ()):
                yield S3Object(item["Key"], item["Size"], item["ETag"], item["LastModified"])
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, keys: list[str]) -> None:
        """Delete objects. Ignores missing ones."""
        for first in range(0, len(keys), KEYS_A_DELETION):
            objects = [{"Key": key} for key in keys[first : first + KEYS_A_DELETION]]
            response = self._call(keys[first], "delete_objects", Delete={"Objects": objects, "Quiet": True})
            for refused in response.get("Errors", ()):
                raise StoreError(
                    f"the object was not deleted: {refused.get('Code')} {refused.get('Message', '')}".strip(),
                    where=f"s3://{self.place.bucket}/{refused.get('Key')} at {self.place.server}",
                    remedy="Permit the credentials to delete objects in this bucket.",
                )

    def abort_unfinished(self, prefix: str, begun_before: datetime | None = None) -> int:
        """Abort unfinished uploads to keys that begin with `prefix`. Returns their number.

        With `begun_before`, only uploads that began before then: later ones may still be running.
        """
        uploads = [
            upload for upload in self._unfinished(prefix) if begun_before is None or upload["Initiated"] < begun_before
        ]
        for upload in uploads:
            self._call(upload["Key"], "abort_multipart_upload", Key=upload["Key"], UploadId=upload["UploadId"])
        return len(uploads)

    def _unfinished(self, prefix: str) -> Iterator[dict[str, Any]]:
        more: dict[str, str] = {}
        while True:
            page = self._call(prefix, "list_multipart_uploads", Prefix=prefix, **more)
            yield from page.get("Uploads", ())
            if not page.get("IsTruncated"):
                return
            more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def _short(self, key: str, missing_bytes: int) -> StoreError:
        return StoreError(
            f"the object is {missing_bytes} bytes shorter than what was committed",
            where=f"s3://{self.place.bucket}/{key} at {self.place.server}",
            remedy="It was changed in the store: restore it from a backup, or run the stage again.",
        )

    def _call(self, key: str, request: str, **parameters: Any) -> dict[str, Any]:
        with s3_errors(self.place, key):
            response: dict[str, Any] = self._clients.metadata.call_s3(request, Bucket=self.place.bucket, **parameters)
        return response
