"""Watched folders, and the files found in them."""

from __future__ import annotations

from winslow_dagster.client.http import Http
from winslow_dagster.projects.domain.ingest import IngestFile, IngestPage, IngestQuery, WatchFolders


class IngestClient:
    """Like `ingest` of the Python API."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def folders(self) -> WatchFolders:
        """The watched folders, with the number of files in each state, and what keeps one from being used."""
        return self._http.get(WatchFolders, "/ingest/folders")

    def find(self, query: IngestQuery) -> IngestPage:
        """One page of the files that match the query, the latest first."""
        return self._http.get(IngestPage, "/ingest/files", **query.model_dump(mode="json"))

    def retry(self, file_id: int) -> IngestFile:
        """Start over with a rejected, failed or dismissed file. Raises NotFound, ProjectConflict."""
        return self._http.post(IngestFile, f"/ingest/files/{file_id}/retry", {})

    def dismiss(self, file_id: int) -> IngestFile:
        """Take note of a rejected or failed file. Raises NotFound, ProjectConflict."""
        return self._http.post(IngestFile, f"/ingest/files/{file_id}/dismiss", {})
