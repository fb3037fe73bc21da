"""Watch folders: what landed in them, in which state each file is, and why one was not ingested."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.responses import HTMLResponse, Response

from winslow_dagster.console.acts import Undo, done
from winslow_dagster.console.caller import Front
from winslow_dagster.console.commands import command
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room, RowId
from winslow_dagster.projects.domain.ingest import HIGHEST_ID, RETRYABLE, STATES, WAITING_FOR_PERSON, IngestQuery
from winslow_dagster.projects.domain.ingest import IngestState as State

PATH = "/watch-folders"
PAGE = 100

room = Room()


class Filters(BaseModel):
    """The filters in the address. The form of the page also sends those that are empty."""

    model_config = ConfigDict(frozen=True)

    watch: str | None = None
    state: State | None = None
    before: int | None = Field(default=None, ge=0, le=HIGHEST_ID)

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    def address(self, before: int | None = None) -> str:
        """The address of the page with these filters, or of its part with the files below `before`."""
        given = {"watch": self.watch, "state": self.state, "before": before}
        query = urlencode({name: value for name, value in given.items() if value is not None})
        return f"{PATH}?{query}" if query else PATH


@room.route_for(PATH, role="operator")
def watch_folders(request: Request, front: Front, filters: Annotated[Filters, Query()]) -> HTMLResponse:
    """The folders, and one page of the files found in them."""
    query = IngestQuery(watch=filters.watch, state=filters.state, before=filters.before, limit=PAGE)
    return page(
        request,
        "watch_folders.html",
        found=front.ingest.folders(),
        files=front.ingest.find(query),
        filters=filters,
        states=STATES,
        waiting=WAITING_FOR_PERSON,
        retryable=RETRYABLE,
        command=command,
    )


@room.route_for("/ingest/{file}/dismiss", role="operator", method="POST")
def dismiss(front: Front, file: RowId) -> Response:
    """Take note of a file that was rejected or failed."""
    dismissed = front.ingest.dismiss(file)
    undo = Undo(f"/ingest/{file}/retry", {})
    return done(f"{dismissed.path} waits for nobody now.", undo=undo)
