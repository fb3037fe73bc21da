"""What travels between stages instead of data: a list of files with sizes and checksums."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class FileEntry(BaseModel):
    """One file of a manifest. `path` is relative to the manifest's address, with forward slashes."""

    model_config = ConfigDict(frozen=True)

    path: str
    size_bytes: int
    blake3: str


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
