"""Folders of the store as one file, which is never stored: any range of it can be made at any time."""

from __future__ import annotations

from typing import Literal

from winslow_dagster.storage.archives.archive import Archive
from winslow_dagster.storage.archives.members import Group
from winslow_dagster.storage.archives.packed_manifest import PackedManifest
from winslow_dagster.storage.archives.tar import TarArchive
from winslow_dagster.storage.archives.zip import ZipArchive

__all__ = ["FORMATS", "Archive", "ArchiveFormat", "Group", "PackedManifest"]

ArchiveFormat = Literal["tar", "zip"]
FORMATS: dict[ArchiveFormat, type[Archive]] = {"tar": TarArchive, "zip": ZipArchive}
