"""Manifests: lists of files with sizes and checksums, which stages exchange instead of data."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from blake3 import blake3 as new_hasher
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from winslow_dagster.errors import StoreError


def stays_inside(path: str) -> str:
    """The path itself. Raises ValueError if it leaves its directory: others may write to the store."""
    if any(part in {"", ".", ".."} for part in path.split("/")) or "\0" in path:
        raise ValueError(f"{path!r} is not a path inside a tree")
    return path


PathInTree = Annotated[str, AfterValidator(stays_inside)]


class Location(BaseModel):
    """A file in the store: the address of a committed tree, and the path in it."""

    model_config = ConfigDict(frozen=True)

    address: str
    path: PathInTree


class FileEntry(BaseModel):
    """One file of a manifest. `path` is relative to the manifest's address, with forward slashes.

    `stored_at` is its location in the store if it is in another tree (composed manifests only, see `replaced`).
    """

    model_config = ConfigDict(frozen=True)

    path: PathInTree
    size_bytes: int
    blake3: str
    stored_at: Location | None = Field(default=None, exclude_if=lambda place: place is None)

    def require(self, digest: str, *, where: str) -> None:
        """Raise StoreError unless `digest`, of the content of `where`, is this file's blake3."""
        if digest != self.blake3:
            raise StoreError(
                f"the content differs from what was committed: its blake3 is {digest}",
                where=where,
                expected=self.blake3,
                remedy="It was changed or damaged in the store: restore it from a backup, or run the stage again.",
            )


class Manifest(BaseModel):
    """A committed, immutable tree of files in the store.

    `address` is the tree's key in the store (forward slashes, no leading one), such as
    `projects/ulm-07/detect_vehicles/<task id>/output`. A composed manifest has files of several trees; its own address
    only identifies it, and is not in the store.
    """

    model_config = ConfigDict(frozen=True)

    address: str
    files: tuple[FileEntry, ...] = ()

    @property
    def size_bytes(self) -> int:
        """The sum of the files' sizes."""
        return sum(file.size_bytes for file in self.files)

    @property
    def composed(self) -> bool:
        """Whether some of the files are in other trees of the store."""
        return any(file.stored_at is not None for file in self.files)

    def location(self, entry: FileEntry) -> Location:
        """The location of this file in the store."""
        return entry.stored_at or Location(address=self.address, path=entry.path)

    def trees(self) -> frozenset[str]:
        """The addresses of the trees that contain the files: its own, unless it is composed."""
        if not self.composed:
            return frozenset({self.address})
        return frozenset(self.location(entry).address for entry in self.files)

    def without(self, paths: Collection[str]) -> Manifest:
        """The manifest without these files. Ignores paths that it does not have."""
        return Manifest(address=self.address, files=tuple(entry for entry in self.files if entry.path not in paths))

    def require_same(self, other: Manifest) -> None:
        """Raise StoreError unless `other`, to be committed to the same address, has the same files."""
        if self.files == other.files:
            return
        mine, theirs = set(self.files), set(other.files)
        differing = sorted({file.path for file in mine ^ theirs})
        raise StoreError(
            f"different content is already committed here; {len(differing)} files differ, the first is "
            f"{differing[0]!r}",
            where=self.address,
            expected="the same content, or an unused address",
            remedy="Committed content never changes: commit to a new address, or delete this one first.",
        )


def replaced(manifest: Manifest, path: str, by: Manifest) -> Manifest:
    """The manifest with the file at `path` replaced by the only file of `by`. Nothing is copied or moved.

    Its address begins with that of `by` and depends on the content only. Raises StoreError if there is no such file, or
    if `by` does not have exactly one.
    """
    if len(by.files) != 1:
        raise StoreError(f"contains {len(by.files)} files", where=by.address, expected="one file, to replace another")
    if path not in {entry.path for entry in manifest.files}:
        raise StoreError(f"the file {path!r} to be replaced does not exist", where=manifest.address)
    new = by.files[0].model_copy(update={"path": path, "stored_at": by.location(by.files[0])})
    files = tuple(
        new if entry.path == path else entry.model_copy(update={"stored_at": manifest.location(entry)})
        for entry in manifest.files
    )
    whole = Manifest(address="", files=files).model_dump_json()
    return Manifest(address=f"{by.address}/in/{new_hasher(whole.encode()).hexdigest(16)}", files=files)
