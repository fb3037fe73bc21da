"""Pipeline files over HTTP."""

from __future__ import annotations

from winslow_dagster.client.http import Http, part
from winslow_dagster.projects.domain.pipeline_views import (
    PipelineFile,
    PipelineFiles,
    PipelineVersionView,
    VersionChanges,
)


class PipelineClient:
    """Like `Winslow.pipeline_files`."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def files(self) -> PipelineFiles:
        """All pipeline files, with the problems of those that cannot be used."""
        return self._http.get(PipelineFiles, "/pipelines")

    def file(self, name: str) -> PipelineFile:
        """One pipeline, or the problems of its file. Raises NotFound."""
        return self._http.get(PipelineFile, f"/pipelines/{part(name)}")

    def source(self, name: str) -> str:
        """The text of its file. Raises NotFound."""
        return self._http.get(str, f"/pipelines/{part(name)}/source")

    def versions(self, name: str) -> tuple[PipelineVersionView, ...]:
        """Its kept versions, the latest first, with the projects that use them."""
        return self._http.get(tuple[PipelineVersionView, ...], f"/pipelines/{part(name)}/versions")

    def changes(self, name: str, old: str, new: str = "current") -> VersionChanges:
        """What changed from one version to another, each named by its digest, or `current` for the file."""
        return self._http.get(VersionChanges, f"/pipelines/{part(name)}/changes", old=old, new=new)
