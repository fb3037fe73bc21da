"""Pipeline files as a person looks at them: valid or not, their versions, and who uses them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from winslow_dagster.errors import NotFound, PipelineInvalid
from winslow_dagster.pipelines import (
    Catalogue,
    LoadedPipeline,
    load,
    pipeline_names,
    version_digests,
)
from winslow_dagster.pipelines.changes import changes
from winslow_dagster.pipelines.config_file import read_content
from winslow_dagster.pipelines.variable_comments import variable_comments
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.domain.pipeline_views import (
    PipelineFile,
    PipelineFiles,
    PipelineVersionView,
    VersionChanges,
)

CURRENT = "current"
"""In place of a version: the file as it is now."""
SHORTEST_DIGEST = 6


class PipelineCommands:
    """The pipeline files of one installation."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._directory = context.settings.pipelines_dir

    def files(self) -> PipelineFiles:
        """All files, with their problems."""
        catalogue = Catalogue.read(self._directory)
        names = pipeline_names(self._directory)
        files = tuple(_file(name, path, catalogue) for name, path in names.items())
        known = {str(path) for path in names.values()}
        return PipelineFiles(files, tuple(each for each in catalogue.problems if each.file not in known))

    def file(self, name: str) -> PipelineFile:
        """One file, valid or not. Raises NotFound."""
        path = self._context.pipeline_path(name)
        try:
            loaded = load(path)
        except PipelineInvalid as error:
            return PipelineFile(name, path, None, None, tuple(error.problems))
        return PipelineFile(name, path, loaded.pipeline, loaded.digest)

    def source(self, name: str) -> str:
        """The text of its file. Raises NotFound, PipelineInvalid if it cannot be read."""
        return read_content(self._context.pipeline_path(name)).decode("utf-8", "replace")

    def comments(self, name: str) -> dict[tuple[str, str], str]:
        """(stage, variable) -> what the file's comments say about it; the stage is empty for all stages."""
        return variable_comments(read_content(self._context.pipeline_path(name)))

    def versions(self, name: str) -> tuple[PipelineVersionView, ...]:
        """The kept versions, the latest first: each that a project was started with. Raises NotFound."""
        current = self.file(name).digest
        users: dict[str, list[str]] = {}
        for project, digest in self._context.records.projects_with(name):
            users.setdefault(digest, []).append(project)
        directory = self._context.settings.versions_dir
        return tuple(
            PipelineVersionView(
                digest, _kept_at(directory, name, digest), digest == current, tuple(users.get(digest, ()))
            )
            for digest in reversed(version_digests(directory, name))
        )

    def changes(self, name: str, old: str, new: str = CURRENT) -> VersionChanges:
        """What changed between two versions, named by (the beginning of) their digests, or `current`.

        Raises NotFound, PipelineInvalid.
        """
        left, right = self._version(name, old), self._version(name, new)
        return VersionChanges(left.digest, right.digest, changes(left.pipeline, right.pipeline))

    def _version(self, name: str, version: str) -> LoadedPipeline:
        if version == CURRENT:
            return self._context.pipeline(name)
        self._context.pipeline_path(name)
        known = version_digests(self._context.settings.versions_dir, name)
        found = [each for each in known if each.startswith(version)] if len(version) >= SHORTEST_DIGEST else []
        if len(found) != 1:
            raise NotFound(
                f"there is no version {version!r} of {name}" if not found else f"{version!r} begins several versions",
                where=f"pipeline {name}",
                expected=f"one of {', '.join([CURRENT, *(each[:8] for each in known)])}",
            )
        pipeline = self._context.resources.pipeline_version(name, found[0])
        return LoadedPipeline(self._directory, pipeline, found[0])


def _file(name: str, path: Path, catalogue: Catalogue) -> PipelineFile:
    loaded = catalogue.pipelines.get(name)
    if loaded is not None:
        return PipelineFile(name, path, loaded.pipeline, loaded.digest)
    return PipelineFile(name, path, None, None, tuple(each for each in catalogue.problems if each.file == str(path)))


def _kept_at(directory: Path, name: str, digest: str) -> datetime:
    return datetime.fromtimestamp((directory / name / f"{digest}.yaml").stat().st_mtime, UTC)
