"""Files: those of the pool with their users, and what is on its way there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request
from starlette.responses import HTMLResponse

from winslow_dagster.console.caller import Front
from winslow_dagster.console.commands import command
from winslow_dagster.console.pages.pool import archive_path, content_path, pool_path
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room
from winslow_dagster.projects.domain.pool import PoolQuery, PoolSort

PATH = "/files"
PAGE = 100

room = Room(prefix=PATH)


@dataclass(frozen=True, slots=True)
class PoolListing:
    """Which part of the pool the page shows: its address."""

    text: str
    sort: PoolSort
    descending: bool
    page: int

    def address(self, sort: PoolSort | None = None, descending: str = "", page: int = 1) -> str:
        """The address with another order, or another page."""
        chosen = {
            "text": self.text,
            "sort": sort or self.sort,
            "descending": descending if sort else ("1" if self.descending else ""),
            "page": str(page) if page > 1 else "",
        }
        plain = {"sort": "name"}
        query = {name: value for name, value in chosen.items() if value and plain.get(name) != value}
        return f"{PATH}?{urlencode(query)}" if query else PATH

    def query(self) -> PoolQuery:
        """What it asks for."""
        return PoolQuery(
            text=self.text,
            sort=self.sort,
            descending=self.descending,
            limit=PAGE,
            offset=(self.page - 1) * PAGE,
        )


@room.route_for("", role="viewer")
def show_files(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    request: Request,
    front: Front,
    text: Annotated[str, Query(max_length=200)] = "",
    sort: PoolSort = "name",
    descending: Annotated[str, Query(max_length=1)] = "",
    number: Annotated[int, Query(alias="page", ge=1, le=100_000)] = 1,
) -> HTMLResponse:
    """The pool, and uploads."""
    listing = PoolListing(text, sort, bool(descending), number)
    found = front.pool.find(listing.query())
    checks = front.footage_checks.of(found.files)
    return page(
        request,
        "files.html",
        listing=listing,
        found=found,
        pages=max(1, -(-found.total // PAGE)),
        unfinished=front.uploads.unfinished() if request.scope["winslow.caller"].may("operator") else (),
        checks=checks,
        checking=any(each.checked is None for each in checks.values()),
        in_trash=len(front.pool.trash()),
        pool_path=pool_path,
        content_path=content_path,
        archive_path=archive_path,
        command=command,
    )
