"""A manifest that takes a tenth of the memory, for folders of 100,000 files."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from blake3 import blake3

from winslow_dagster.storage.manifest import Location

IsRemoved = Callable[[str, str], bool]
"""Whether the file at this address and path was removed."""


@dataclass(frozen=True, slots=True)
class PackedManifest:
    """The files of a manifest, in its order. `elsewhere`: position -> location, of files in other trees.

    `tag` changes with names, sizes and contents.
    """

    address: str
    paths: Sequence[str]
    sizes: Sequence[int]
    elsewhere: Mapping[int, Location]
    tag: str

    @classmethod
    def parse(cls, text: str, is_removed: IsRemoved | None = None) -> PackedManifest:
        """From the JSON of a manifest, without the files that were removed."""
        # Not by way of `Manifest`: 100,000 of its entries take 80 MB and half a second. The standard parser is twice as
        # fast here as pydantic's.
        document = json.loads(text)
        address, entries = document["address"], document["files"]
        if is_removed is not None:
            entries = [entry for entry in entries if not is_removed(*_place(address, entry))]
        paths = [entry["path"] for entry in entries]
        sizes = array("Q", [entry["size_bytes"] for entry in entries])
        hasher = blake3("\0".join(paths).encode())
        hasher.update(sizes.tobytes())
        hasher.update("".join([entry["blake3"] for entry in entries]).encode())
        elsewhere = {
            index: Location(**entry["stored_at"]) for index, entry in enumerate(entries) if entry.get("stored_at")
        }
        return cls(address, paths, sizes, elsewhere, hasher.hexdigest())

    def location(self, index: int) -> Location:
        """Where the file is in the store."""
        return self.elsewhere.get(index) or Location(address=self.address, path=self.paths[index])


def _place(address: str, entry: Mapping[str, object]) -> tuple[str, str]:
    stored_at = entry.get("stored_at") or {"address": address, "path": entry["path"]}
    assert isinstance(stored_at, Mapping)  # noqa: S101  # what a manifest has there
    return str(stored_at["address"]), str(stored_at["path"])
