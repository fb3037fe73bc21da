"""Maps addresses to paths, the same in every kind of store.

    trees/<address>.files/<path>            the files of a tree, and nothing else
    manifests/<address>.manifest.json       the commit marker: a tree without one was never committed

The suffixes keep the trees `a` and `a/b` apart; manifests in a directory of their own can be listed without the trees.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from winslow_dagster.errors import StoreError

FILES_SUFFIX = ".files"
MANIFEST_SUFFIX = ".manifest.json"
TREES = "trees"
MANIFESTS = "manifests"
LONGEST_SEGMENT_BYTES = 200  # a file name may have 255, including the suffixes
LONGEST_ADDRESS_BYTES = 700  # an S3 key may have 1024, including the path inside the tree
UNUSABLE = re.compile(r"[\x00-\x1f\x7f\\]")


def checked(address: str) -> str:
    """The address itself. Raises StoreError unless every kind of store can use it."""
    segments = address.split("/")
    if any(segment in {"", ".", ".."} for segment in segments):
        raise unusable(address, "it has an empty, '.' or '..' part")
    if any(segment.endswith((FILES_SUFFIX, MANIFEST_SUFFIX)) for segment in segments):
        raise unusable(address, f"a part of it ends in {FILES_SUFFIX} or {MANIFEST_SUFFIX}")
    try:
        longest = max(len(segment.encode()) for segment in segments)
        whole = len(address.encode())
    except UnicodeEncodeError as error:
        raise unusable(address, "it is not UTF-8") from error
    if longest > LONGEST_SEGMENT_BYTES or whole > LONGEST_ADDRESS_BYTES:
        raise unusable(address, "it is too long")
    if UNUSABLE.search(address):
        raise unusable(address, "it has a control character or a backslash")
    return address


def unusable(address: str, why: str) -> StoreError:
    """The error for an address that not every kind of store can use."""
    return StoreError(
        f"invalid address: {why}",
        where=repr(address),
        expected=f"names joined by '/', each at most {LONGEST_SEGMENT_BYTES} bytes of UTF-8",
    )


def tree_key(address: str) -> PurePosixPath:
    """The directory of a tree's files, relative to the store's root."""
    return PurePosixPath(TREES, checked(address) + FILES_SUFFIX)


def manifest_key(address: str) -> PurePosixPath:
    """The path of a tree's commit marker, relative to the store's root."""
    return PurePosixPath(MANIFESTS, checked(address) + MANIFEST_SUFFIX)
