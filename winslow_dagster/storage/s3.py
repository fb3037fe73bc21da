"""A store in an S3 bucket. Objects are written first, the commit marker last: a tree without one is not committed.

Only one process may commit to an address at a time. S3 has no reliable lock, so the caller must hold its own (a stage
runner holds its task's).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from winslow_dagster.errors import StoreError
from winslow_dagster.storage import layout
from winslow_dagster.storage.adding import checksums
from winslow_dagster.storage.checksum import checksum
from winslow_dagster.storage.copying import check_unchanged
from winslow_dagster.storage.disk import disk_errors, new_file
from winslow_dagster.storage.manifest import FileEntry, Location, Manifest
from winslow_dagster.storage.parallel import each
from winslow_dagster.storage.s3_bucket import PART_BYTES, S3Bucket
from winslow_dagster.storage.s3_errors import S3Place
from winslow_dagster.storage.store import BytesMoved, Store
from winslow_dagster.storage.tree import TreeFile, survey, survey_file

DIGEST = "blake3"  # the metadata field of an object
LONGEST_KEY_BYTES = 1024
SMALL_FILES_AT_ONCE = 8
PATIENCE_S = 30.0  # callers that want to wait longer retry: a waiting call cannot be cancelled


class S3Store(Store):
    """Trees under `prefix` in a bucket. botocore finds the credentials, AWS_* variables first.

    `endpoint`: the address of a server other than AWS. `patience_s`: how long to retry before a call fails if the
    server does not respond.
    """

    reads_at_once = SMALL_FILES_AT_ONCE

    def __init__(
        self, bucket: str, prefix: str = "", endpoint: str | None = None, *, patience_s: float = PATIENCE_S
    ) -> None:
        self._bucket = S3Bucket(S3Place(bucket, endpoint), patience_s)
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def put_file(self, source: Path, address: str, moved: BytesMoved | None = None) -> Manifest:
        """See Store."""
        committed = self.manifest(address)
        with disk_errors(str(source), disk=source.parent):
            found = survey_file(source)
            if committed:
                digest = checksum(source, moved)
            else:
                digest = self._bucket.upload(source, self._key(address, found.path), moved)
            check_unchanged(source, found.status)
        entry = FileEntry(path=found.path, size_bytes=found.status.st_size, blake3=digest)
        return self._commit(Manifest(address=address, files=(entry,)), committed)

    def commit_tree(
        self,
        source: Path,
        address: str,
        moved: BytesMoved | None = None,
        *,
        keep_source: bool = False,  # noqa: ARG002  # it always stays
        known: Mapping[str, str] | None = None,
    ) -> Manifest:
        """See Store. Keeps the source; files that an interrupted commit stored completely are not sent again."""
        committed = self.manifest(address)
        if committed and not source.exists():
            return committed

        def hashed(_count_bytes: int) -> None:
            if moved:
                moved(0)  # Sending them counts.

        with disk_errors(str(source), disk=source):
            found = survey(source, moved)
            if committed and not found:
                return committed
            keys = [self._key(address, file.path) for file in found]
            manifest = Manifest(address=address, files=checksums(found, moved if committed else hashed, known))
            if not committed:
                self._upload_tree(manifest, found, keys, moved)
        return self._commit(manifest, committed)

    def manifest(self, address: str) -> Manifest | None:
        """See Store."""
        key = self._manifest_key(address)
        content = self._bucket.get(key)
        if content is None:
            return None
        try:
            return Manifest.model_validate_json(content)
        except ValidationError as error:
            raise StoreError(
                "the manifest cannot be read",
                where=key,
                remedy="The object is damaged: restore it, or delete it and commit again.",
            ) from error

    def read_only_path(self, manifest: Manifest) -> Path | None:
        """None: files have to be fetched first."""
        layout.checked(manifest.address)
        return None

    def fetch_file(self, manifest: Manifest, entry: FileEntry, target: Path, moved: BytesMoved | None = None) -> None:
        """See Store."""
        key = self._key_at(manifest.location(entry))
        with disk_errors(str(target), disk=target.parent, needed_bytes=entry.size_bytes), new_file(target) as partial:
            self._bucket.download(key, entry.size_bytes, partial, moved)
            entry.require(checksum(partial), where=key)

    def read_range(self, manifest: Manifest, entry: FileEntry, start: int, length: int) -> bytes:
        """See Store."""
        end = min(start + length, entry.size_bytes)
        if end <= start:
            return b""
        return self._bucket.read_range(self._key_at(manifest.location(entry)), start, end)

    def delete_tree(self, address: str) -> int:
        """See Store."""
        tree = self._tree_prefix(address)
        self._bucket.delete([self._manifest_key(address)])
        self._bucket.abort_unfinished(tree)
        stored = dict(self._bucket.keys(tree))
        self._bucket.delete(list(stored))
        return sum(stored.values())

    def delete_files(self, address: str, paths: Collection[str]) -> int:
        """See Store."""
        committed = self.manifest(address)
        if committed is not None and (left := committed.without(paths)) != committed:
            self._bucket.put(self._manifest_key(address), left.model_dump_json().encode())
        keys = {self._key(address, path) for path in paths}
        stored = {key: size_bytes for key, size_bytes in self._bucket.keys(self._tree_prefix(address)) if key in keys}
        self._bucket.delete(sorted(stored))
        return sum(stored.values())

    def sweep(self, begun_before: datetime) -> int:
        """See Store. Keeps objects without a marker: a repeated commit does not have to send them again."""
        return self._bucket.abort_unfinished(f"{self._prefix}{layout.TREES}/", begun_before)

    def _manifest_key(self, address: str) -> str:
        return f"{self._prefix}{layout.manifest_key(address)}"

    def _tree_prefix(self, address: str) -> str:
        return f"{self._prefix}{layout.tree_key(address)}/"

    def _key(self, address: str, path: str) -> str:
        key = self._tree_prefix(address) + path
        if len(key.encode()) > LONGEST_KEY_BYTES:
            raise StoreError(
                "the name is too long for S3",
                where=key,
                expected=f"at most {LONGEST_KEY_BYTES} bytes",
                remedy="Use a shorter file name or fewer directories.",
            )
        return key

    def _key_at(self, place: Location) -> str:
        return self._key(place.address, place.path)

    def _upload_tree(
        self, manifest: Manifest, found: tuple[TreeFile, ...], keys: list[str], moved: BytesMoved | None
    ) -> None:
        """Make the objects of a tree exactly these files. Large ones are sent one by one, each in parallel parts."""
        prefix = self._tree_prefix(manifest.address)
        existing = dict(self._bucket.keys(prefix))
        self._bucket.delete(sorted(existing.keys() - set(keys)))

        def send(one: tuple[str, TreeFile, FileEntry]) -> None:
            key, file, entry = one
            if existing.get(key) == entry.size_bytes and self._bucket.head(key).get(DIGEST) == entry.blake3:
                if moved:
                    moved(entry.size_bytes)
                return
            digest = self._bucket.upload(file.real, key, moved, {DIGEST: entry.blake3})
            entry.require(digest, where=str(file.real))

        work = list(zip(keys, found, manifest.files, strict=True))
        each(send, [one for one in work if one[2].size_bytes < PART_BYTES], at_once=SMALL_FILES_AT_ONCE)
        each(send, [one for one in work if one[2].size_bytes >= PART_BYTES], at_once=1)

    def _commit(self, manifest: Manifest, committed: Manifest | None) -> Manifest:
        if committed:
            committed.require_same(manifest)
            return committed
        self._bucket.put(self._manifest_key(manifest.address), manifest.model_dump_json().encode())
        if any(entry.size_bytes >= PART_BYTES for entry in manifest.files):
            # Uploads in parts that a killed process left unfinished are of no use from now on.
            self._bucket.abort_unfinished(self._tree_prefix(manifest.address))
        return manifest
