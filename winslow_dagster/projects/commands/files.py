"""The output files of a project: listed, read in ranges, copied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from io import BufferedReader
from pathlib import Path

from winslow_dagster.errors import ProjectConflict
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.projects.domain.views import ProjectFile
from winslow_dagster.stages.log import LogReader
from winslow_dagster.storage.checksum import checksum
from winslow_dagster.storage.directories import make_parents
from winslow_dagster.storage.disk import disk_errors
from winslow_dagster.storage.manifest import FileEntry, Manifest
from winslow_dagster.storage.range_reader import RangeReader
from winslow_dagster.storage.store import BytesMoved, Store


def files_of(
    store: Store, pipeline: str, outputs: Mapping[str, Manifest], stages: Iterable[str]
) -> tuple[ProjectFile, ...]:
    """The files of these stages of a pipeline, in their order and by path."""
    found = []
    for stage in stages:
        manifest = outputs.get(stage)
        if manifest is None:
            continue
        local = {address: store.read_only_path(Manifest(address=address)) for address in manifest.trees()}
        for entry in sorted(manifest.files, key=lambda entry: entry.path):
            place = manifest.location(entry)
            tree = local[place.address]
            found.append(
                ProjectFile(
                    pipeline=pipeline,
                    stage=stage,
                    path=entry.path,
                    size_bytes=entry.size_bytes,
                    blake3=entry.blake3,
                    address=place.address,
                    stored_path=place.path,
                    local_path=None if tree is None else tree / place.path,
                )
            )
    return tuple(found)


def open_file(store: Store, file: ProjectFile) -> BufferedReader:
    """The file for reading from any position: only the ranges that are read are fetched. Raises StoreError."""
    manifest, entry = _stored(file)
    return BufferedReader(
        RangeReader(lambda begin, end: store.read_range(manifest, entry, begin, end - begin), file.size_bytes)
    )


def fetch(store: Store, file: ProjectFile, directory: Path, moved: BytesMoved | None = None) -> Path:
    """Copy the file to `<directory>/<stage>/<path>` and return that; an identical copy that exists stays.

    Raises ProjectConflict if a different file exists, StoreError.
    """
    target = directory / file.stage / file.path
    with disk_errors(str(directory), disk=directory):
        if target.exists():
            if target.stat().st_size != file.size_bytes or checksum(target, moved) != file.blake3:
                raise ProjectConflict("a different file exists", where=str(target), remedy="Choose another directory")
            return target
        directory.mkdir(parents=True, exist_ok=True)
        make_parents(directory, [f"{file.stage}/{file.path}"])
    manifest, entry = _stored(file)
    store.fetch_file(manifest, entry, target, moved)
    return target


def log_of(context: Context, attempt: Attempt) -> LogReader:
    """The log of an attempt: live while it runs, from the store once it has ended."""
    result = context.records.result(attempt.task_id)
    if result is not None and result.log_manifest is not None:
        return LogReader.stored(context.store, result.log_manifest)
    return context.engine.log(attempt.task_id)


def _stored(file: ProjectFile) -> tuple[Manifest, FileEntry]:
    entry = FileEntry(path=file.stored_path, size_bytes=file.size_bytes, blake3=file.blake3)
    return Manifest(address=file.address, files=(entry,)), entry
