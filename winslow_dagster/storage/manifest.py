"""What travels between stages instead of data: a list of files with sizes and checksums."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from blake3 import blake3 as new_hasher
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from winslow_dagster.errors import StoreError


def stays_inside(path: str) -> str:
    """Manifests are read back from stores that others may write to: no path may leave its directory."""
    if any(part in {"", ".", ".."} for part in path.split("/")) or "\0" in path:
        raise ValueError(f"{path!r} is not a path inside a tree")
    return path


PathInTree = Annotated[str, AfterValidator(stays_inside)]


class Place(BaseModel):
    """Where the store has a file: the address of a committed tree, and the path in it."""

    model_config = ConfigDict(frozen=True)

    address: str
    path: PathInTree


class FileEntry(BaseModel):
    """One file of a manifest. `path` is relative to the manifest's address, with forward slashes.

    `lies` is where the store has it if not there: only files of composed manifests say so, see `replaced`.
    """

    model_config = ConfigDict(frozen=True)

    path: PathInTree
    size_bytes: int
    blake3: str
    lies: Place | None = Field(default=None, exclude_if=lambda place: place is None)

    def require(self, digest: str, *, where: str) -> None:
        """Raise StoreError unless the blake3 of what was read from `where` is this file's."""
        if digest != self.blake3:
            raise StoreError(
                f"the content is not what was committed: its blake3 is {digest}",
                where=where,
                expected=self.blake3,
                remedy="It was changed or damaged in the store: restore it from a backup, or run the stage again.",
            )


class Manifest(BaseModel):
    """A committed, immutable tree of files in the store.

    `address` is the tree's key in the store (forward slashes, no leading one), such as
    `projects/ulm-07/detect_vehicles/<task id>/output`. A composed manifest is made of files of several trees: its own
    address names it and nothing in the store.
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
        """Whether some of the files lie elsewhere, so that no one tree of the store has them all."""
        return any(file.lies is not None for file in self.files)

    def place(self, entry: FileEntry) -> Place:
        """Where the store has this file of the manifest."""
        return entry.lies or Place(address=self.address, path=entry.path)

    def trees(self) -> frozenset[str]:
        """The addresses of the trees in which the files lie: its own, unless it is composed."""
        if not self.composed:
            return frozenset({self.address})
        return frozenset(self.place(entry).address for entry in self.files)

    def without(self, paths: Collection[str]) -> Manifest:
        """The manifest less these files; those it does not have are fine."""
        return Manifest(address=self.address, files=tuple(entry for entry in self.files if entry.path not in paths))

    def require_same(self, other: Manifest) -> None:
        """Raise StoreError unless `other`, which is about to be committed here, has the same files."""
        if self.files == other.files:
            return
        mine, theirs = set(self.files), set(other.files)
        differing = sorted({file.path for file in mine ^ theirs})
        raise StoreError(
            f"other content is committed here already; {len(differing)} files differ, the first is {differing[0]!r}",
            where=self.address,
            expected="the same content again, or an address that is free",
            remedy="What is committed never changes: commit to a new address, or delete this one first.",
        )


def replaced(manifest: Manifest, path: str, by: Manifest) -> Manifest:
    """The manifest with the file at `path` replaced by the one file of `by`. Nothing is copied or moved.

    Its address is its own, and the same whenever the same is made of the same; it begins with that of `by`. Raises
    StoreError where there is no such file, or `by` has not exactly one.
    """
    if len(by.files) != 1:
        raise StoreError(f"it has {len(by.files)} files", where=by.address, expected="one file, to replace another")
    if path not in {entry.path for entry in manifest.files}:
        raise StoreError(f"there is no file {path!r} to replace", where=manifest.address)
    new = by.files[0].model_copy(update={"path": path, "lies": by.place(by.files[0])})
    files = tuple(
        new if entry.path == path else entry.model_copy(update={"lies": manifest.place(entry)})
        for entry in manifest.files
    )
    whole = Manifest(address="", files=files).model_dump_json()
    return Manifest(address=f"{by.address}/in/{new_hasher(whole.encode()).hexdigest(16)}", files=files)
