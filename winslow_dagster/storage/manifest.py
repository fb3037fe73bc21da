"""What travels between stages instead of data: a list of files with sizes and checksums."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, field_validator

from winslow_dagster.errors import StoreError


class FileEntry(BaseModel):
    """One file of a manifest. `path` is relative to the manifest's address, with forward slashes."""

    model_config = ConfigDict(frozen=True)

    path: str
    size_bytes: int
    blake3: str

    @field_validator("path")
    @classmethod
    def stays_inside(cls, path: str) -> str:
        """Manifests are read back from stores that others may write to: no path may leave its directory."""
        if any(part in {"", ".", ".."} for part in path.split("/")) or "\0" in path:
            raise ValueError(f"{path!r} is not a path inside a tree")
        return path

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
    `projects/ulm-07/detect_vehicles/<task id>/output`.
    """

    model_config = ConfigDict(frozen=True)

    address: str
    files: tuple[FileEntry, ...] = ()

    @property
    def size_bytes(self) -> int:
        """The sum of the files' sizes."""
        return sum(file.size_bytes for file in self.files)

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
