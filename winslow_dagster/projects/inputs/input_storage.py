"""Takes the inputs of a request into a project: checked first, then stored, then used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from winslow_dagster.pipelines import Pipeline
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.pool import PooledFile
from winslow_dagster.projects.inputs.resource_pool import POOL, Pool, Source
from winslow_dagster.projects.inputs.uploads import InputStream, contents, put, received, same_content, size_of
from winslow_dagster.projects.inputs.validation import check_input, check_names, check_suffix
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.store import BytesMoved, Store

UploadStarted = Callable[[str, int], BytesMoved]
"""Called with name and size when an upload starts; returns a callback for bytes transferred."""


@dataclass(frozen=True, slots=True)
class InputStorage:
    """The inputs of one request, by name. `home` is the directory of the installation."""

    records: ProjectRecords
    store: Store
    home: Path
    sources: Mapping[str, Source]

    def check(self, pipeline: Pipeline, existing: Collection[str]) -> None:
        """Whether the inputs are what the pipeline declares, and none is missing. Raises InputRejected."""
        check_names(pipeline, self.sources, existing)
        for name, source in self.sources.items():
            declared = pipeline.inputs[name]
            if isinstance(source, PooledFile):
                Pool(self.records.database, self.store).check(source, name, declared)
            elif isinstance(source, InputStream):
                # Its content is checked once it has been received.
                check_suffix(source.file_name, declared, f"input {name}, {source.file_name}")
            else:
                check_input(name, source, declared)

    def changed(self, current: Mapping[str, Manifest]) -> dict[str, Source]:
        """The inputs whose content the project does not have yet."""
        return {name: source for name, source in self.sources.items() if not _same(current.get(name), source)}

    def bytes_of(self, names: Collection[str]) -> int:
        """The space that these inputs need. Files of the pool need none, and of a stream it is not known before."""
        return sum(size_of(source) for name in names if isinstance(source := self.sources[name], Path))

    def put(
        self, project: str, pipeline: Pipeline, names: Collection[str], upload: UploadStarted | None = None
    ) -> dict[str, Manifest]:
        """Bring these inputs into the store. Files of the pool are there already."""
        stored: dict[str, Manifest] = {}
        try:
            for name in names:
                stored[name] = self._put(project, pipeline, name, upload)
        except BaseException:
            self.discard(stored)
            raise
        return stored

    def take_into_use(self, project: str, stored: dict[str, Manifest], by: str) -> None:
        """Make stored inputs those of the project. What is left in `stored` afterwards is not needed."""
        for name, manifest in list(stored.items()):
            original_path = source_name(self.sources[name])
            added = self.records.add_input(project, name, manifest, original_path=original_path, added_by=by)
            if added.manifest.address == manifest.address:
                del stored[name]

    def discard(self, stored: Mapping[str, Manifest]) -> None:
        """Delete stored inputs that were not taken into use."""
        for name, manifest in stored.items():
            if not isinstance(self.sources[name], PooledFile):
                self.store.delete_tree(manifest.address)

    def _put(self, project: str, pipeline: Pipeline, name: str, upload: UploadStarted | None) -> Manifest:
        source = self.sources[name]
        if isinstance(source, PooledFile):
            return source.manifest
        address = f"projects/{project}/inputs/{name}/{uuid4().hex}"
        if isinstance(source, InputStream):
            with received(source.content, source.file_name, self.home / "incoming") as path:
                check_input(name, path, pipeline.inputs[name])
                return self.store.commit_tree(path.parent, address)
        return put(self.store, source, address, upload(name, size_of(source)) if upload else None)


def source_name(source: Source) -> str:
    """A path, `pool:NAME`, or the file name of a stream."""
    if isinstance(source, InputStream):
        return source.file_name
    return f"{POOL}{source.name}" if isinstance(source, PooledFile) else str(source.absolute())


def _same(manifest: Manifest | None, source: Source) -> bool:
    """Whether a project's input has this content already."""
    if isinstance(source, InputStream):
        return False
    if isinstance(source, PooledFile):
        return manifest is not None and contents(manifest.files) == contents(source.manifest.files)
    return same_content(manifest, source)
