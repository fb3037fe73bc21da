"""What a project made, to read and to take along: output files, and logs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from winslow_dagster.errors import NotFound, ProjectConflict
from winslow_dagster.projects.database.runs_and_attempts import ProjectRecords
from winslow_dagster.projects.domain.views import ProjectFile
from winslow_dagster.settings import Settings
from winslow_dagster.stages.log import LogReader
from winslow_dagster.storage.checksum import checksum
from winslow_dagster.storage.manifest import FileEntry, Manifest
from winslow_dagster.storage.store import BytesMoved, Store


def files_of(store: Store, outputs: Mapping[str, Manifest], stages: Iterable[str]) -> tuple[ProjectFile, ...]:
    """The files of these stages, in their order and by path."""
    found = []
    for stage in stages:
        manifest = outputs.get(stage)
        if manifest is None:
            continue
        local = {address: store.read_only_path(Manifest(address=address)) for address in manifest.trees()}
        for entry in sorted(manifest.files, key=lambda entry: entry.path):
            place = manifest.place(entry)
            tree = local[place.address]
            found.append(
                ProjectFile(
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


def fetch(store: Store, file: ProjectFile, directory: Path, moved: BytesMoved | None = None) -> Path:
    """Copy the file to `<directory>/<stage>/<path>` and give that; a copy that is there already stays.

    Raises ProjectConflict where another file stands there.
    """
    target = directory / file.stage / file.path
    if target.exists():
        if target.stat().st_size != file.size_bytes or checksum(target, moved) != file.blake3:
            raise ProjectConflict("another file stands there", where=str(target), remedy="Choose another directory")
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    entry = FileEntry(path=file.stored_path, size_bytes=file.size_bytes, blake3=file.blake3)
    store.fetch_file(Manifest(address=file.address, files=(entry,)), entry, target, moved)
    return target


def log_of(
    settings: Settings, store: Store, records: ProjectRecords, of: tuple[str, str], attempt: int | None
) -> LogReader:
    """The log of a project's stage: of its latest attempt, or of its attempt of that number. Raises NotFound."""
    project, stage = of
    attempts = [each for each in records.attempts(project) if each.stage == stage]
    number = len(attempts) if attempt is None else attempt
    if not 1 <= number <= len(attempts):
        raise NotFound(
            "the stage has no log yet" if not attempts else f"there is no attempt {number}",
            where=f"{project}/{stage}",
            expected=f"an attempt from 1 to {len(attempts)}" if attempts else "a stage that has begun",
        )
    task_id = attempts[number - 1].task_id
    result = records.result(task_id)
    if result is not None and result.log_manifest is not None:
        return LogReader.stored(store, result.log_manifest)
    return LogReader(settings.tasks_dir / task_id / "log")
