"""The output files of a project: listed, read in ranges, copied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from io import BufferedReader
from pathlib import Path

from winslow_dagster.errors import NotFound, ProjectConflict
from winslow_dagster.footage import Source
from winslow_dagster.pipelines.model.form import INPUT
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


def input_file(context: Context, project: str, name: str, path: str) -> ProjectFile:
    """A file of an input, as a file of the stage `input:NAME`. Without a path, the only one. Raises NotFound."""
    found = context.records.project(project)
    manifest = found.inputs.get(name)
    where = f"project {project}"
    if manifest is None:
        known = ", ".join(f"{INPUT}{each}" for each in sorted(found.inputs))
        raise NotFound(f"it has no input {name!r}", where=where, expected=f"one of {known}" if known else "")
    entries = [entry for entry in manifest.files if path in {entry.path, ""}]
    if len(entries) != 1:
        what = f"the input {name} has no file {path!r}" if path else f"the input {name} has {len(entries)} files"
        raise NotFound(what, where=where, expected=f"{INPUT}{name}/PATH")
    chosen = manifest.model_copy(update={"files": tuple(entries)})
    (file,) = files_of(context.store, found.pipeline, {f"{INPUT}{name}": chosen}, [f"{INPUT}{name}"])
    return file


def open_file(store: Store, file: ProjectFile) -> BufferedReader:
    """The file for reading from any position: only the ranges that are read are fetched. Raises StoreError."""
    manifest, entry = _stored(file)
    return BufferedReader(
        RangeReader(lambda begin, end: store.read_range(manifest, entry, begin, end - begin), file.size_bytes)
    )


def read_file(store: Store, file: ProjectFile, begin: int, end: int) -> bytes:
    """The bytes from `begin` to before `end`, or fewer if the file is shorter than it was. Raises StoreError."""
    manifest, entry = _stored(file)
    return store.read_range(manifest, entry, begin, end - begin)


def source_of(store: Store, file: ProjectFile) -> Source:
    """The file as footage that is decoded."""
    manifest, entry = _stored(file)
    return Source(
        name=f"{file.stage}/{file.path}",
        blake3=file.blake3,
        size_bytes=file.size_bytes,
        path=file.local_path,
        read=lambda begin, end: store.read_range(manifest, entry, begin, end - begin),
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
