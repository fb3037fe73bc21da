"""Watched folders, and the files found in them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import Room, RowId
from winslow_dagster.projects.domain.ingest import (
    HIGHEST_ID,
    MOST_LISTED,
    IngestFile,
    IngestPage,
    IngestQuery,
    IngestState,
    WatchFolders,
)

room = Room(prefix="/ingest", tags=["ingest"])


@room.route_for("/folders", role="operator")
def list_watch_folders(front: Front) -> WatchFolders:
    """The watched folders, with the number of files in each state, and what keeps one from being used."""
    return front.ingest.folders()


@room.route_for("/files", role="operator")
def list_ingest_files(
    front: Front,
    watch: str | None = None,
    state: IngestState | None = None,
    before: Annotated[int | None, Query(ge=0, le=HIGHEST_ID)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 100,
) -> IngestPage:
    """The files found in watched folders, the latest first. Go on with `before` until it is null."""
    return front.ingest.find(IngestQuery(watch=watch, state=state, before=before, limit=limit))


@room.route_for("/files/{file}/retry", role="operator", method="POST")
def retry_ingest(front: Front, file: RowId) -> IngestFile:
    """Start over with a rejected, failed or dismissed file."""
    return front.ingest.retry(file)


@room.route_for("/files/{file}/dismiss", role="operator", method="POST")
def dismiss_ingest(front: Front, file: RowId) -> IngestFile:
    """Take note of a rejected or failed file: it no longer waits for a person, until its content changes."""
    return front.ingest.dismiss(file)
