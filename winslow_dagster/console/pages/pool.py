"""The pool: its files with their users, one of them in detail, and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import Form, Query, Request
from pydantic import BaseModel
from starlette.responses import HTMLResponse, Response

from winslow_dagster.console.acts import Undo, done
from winslow_dagster.console.caller import Front
from winslow_dagster.console.commands import command
from winslow_dagster.console.footage_paths import PREVIEW_WIDTH, is_shown_as_it_is
from winslow_dagster.console.previews import Kind, Table, Text, kind_of, read_table, read_text
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import FOOTAGE, Room
from winslow_dagster.errors import FootageUnreadable, WinslowError
from winslow_dagster.footage import Footage
from winslow_dagster.projects.domain.pool import PoolAct, PoolQuery, PoolSort
from winslow_dagster.projects.domain.views import ProjectFile
from winslow_dagster.projects.installation import Installation
from winslow_dagster.storage.manifest import Manifest

PATH = "/pool"
PAGE = 100
MOST_LISTED = 1000
"""Files of a directory that are listed at once."""
PLAYED = frozenset({".mp4", ".m4v", ".mov", ".webm", ".ogv"})
"""Films that a browser plays as they are, if it knows their codec."""

room = Room(prefix=PATH)
detail_room = Room(prefix=PATH, threads=FOOTAGE)


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


@dataclass(frozen=True, slots=True)
class Folder:
    """What is directly in one directory: directories with their sizes, and files. `more` files are not listed."""

    path: str
    folders: tuple[tuple[str, int], ...]
    files: tuple[tuple[str, int], ...]
    more: int


@dataclass(frozen=True, slots=True)
class Shown:
    """One file as far as a browser shows it."""

    file: ProjectFile
    kind: Kind
    plays: bool = False
    facts: Footage | None = None
    table: Table | None = None
    text: Text | None = None
    problem: str = ""


class RenameForm(BaseModel):
    """The new name."""

    new_name: str


class ReplaceForm(BaseModel):
    """The name of the file of the pool that takes the place."""

    other: str


@room.route_for("", role="viewer")
def show_pool(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    request: Request,
    front: Front,
    text: Annotated[str, Query(max_length=200)] = "",
    sort: PoolSort = "name",
    descending: Annotated[str, Query(max_length=1)] = "",
    number: Annotated[int, Query(alias="page", ge=1, le=100_000)] = 1,
) -> HTMLResponse:
    """The files."""
    listing = PoolListing(text, sort, bool(descending), number)
    found = front.pool.find(listing.query())
    return page(
        request,
        "pool/list.html",
        listing=listing,
        found=found,
        pages=max(1, -(-found.total // PAGE)),
        in_trash=len(front.pool.trash()),
        pool_path=pool_path,
        command=command,
    )


@detail_room.route_for("/{name}", role="viewer")
def show_file(
    request: Request,
    front: Front,
    name: str,
    folder: Annotated[str, Query(max_length=4096)] = "",
    file: Annotated[str, Query(max_length=4096)] = "",
) -> HTMLResponse:
    """One file, or a directory: who has it, and what is in it."""
    details = front.pool.details(name)
    several = details.file.files != 1 or "/" in details.file.file_name
    manifest = front.pool.files.file(name).manifest
    return page(
        request,
        "pool/file.html",
        details=details,
        several=several,
        folder=_folder(manifest, folder.strip("/")) if several else None,
        wanted=file,
        check=front.footage_checks.of_pool().get(name),
        shown=_shown(front, name, file) if file or not several else None,
        others=[each for each in front.pool.names() if each != name],
        earlier_uses={each.id: each.used_by for each in details.earlier},
        pool_path=pool_path,
        content_path=content_path,
        archive_path=archive_path,
        picture_path=picture_path,
        command=command,
    )


@room.route_for("/{name}/effect", role="operator")
def effect(request: Request, front: Front, name: str, act: PoolAct) -> HTMLResponse:
    """What an act would mean, with the form that does it. A part of a page."""
    others = [each for each in front.pool.names() if each != name] if act == "replace" else []
    found = front.pool.effect(act, name)
    return page(request, "pool/effect.html", effect=found, others=others, pool_path=pool_path, command=command)


@room.route_for("/{name}/rename", role="operator", method="POST")
def rename(front: Front, name: str, form: Annotated[RenameForm, Form()]) -> Response:
    """Give the file another name."""
    renamed = front.pool.rename(name, form.new_name.strip())
    return done(f"{name} is {renamed.name} now.", go_to=pool_path(renamed.name))


@room.route_for("/{name}/replace", role="operator", method="POST")
def replace(front: Front, name: str, form: Annotated[ReplaceForm, Form()]) -> Response:
    """Have another file of the pool take its place."""
    earlier = front.pool.replace(name, f"pool:{form.other}")
    return done(f"{name} is replaced.", go_to=pool_path(name), undo=_undo(earlier.id))


@room.route_for("/{name}/remove", role="operator", method="POST")
def remove(front: Front, name: str) -> Response:
    """Move the file to the trash."""
    deleted = front.pool.remove(name)
    return done(f"{name} is no longer in the pool.", go_to=PATH, undo=_undo(deleted.id))


def pool_path(name: str, **query: str) -> str:
    """The address of the page of a file."""
    given = {key: value for key, value in query.items() if value}
    return f"{PATH}/{quote(name, safe='')}{f'?{urlencode(given)}' if given else ''}"


def content_path(name: str, path: str, *, download: bool = False) -> str:
    """The address of the content of a file."""
    return _api(name, f"files/{quote(path)}", download="true" if download else "")


def archive_path(name: str) -> str:
    """The address of a directory as one archive."""
    return _api(name, "archive")


def picture_path(name: str, file: ProjectFile) -> str:
    """The address of a picture of the file at the size of a preview."""
    if is_shown_as_it_is(file.path) and kind_of(file.path) == "picture":
        return content_path(name, file.path)
    return _api(name, "picture", path=file.path, width=str(PREVIEW_WIDTH), version=file.blake3)


def _api(name: str, what: str, **query: str) -> str:
    given = {key: value for key, value in query.items() if value}
    return f"/api/v1/pool/{quote(name, safe='')}/{what}{f'?{urlencode(given)}' if given else ''}"


def _undo(file_id: str) -> Undo:
    return Undo(f"/trash/files/{file_id}/restore", {})


def _folder(manifest: Manifest, path: str) -> Folder:
    prefix = f"{path}/" if path else ""
    folders: dict[str, int] = {}
    files: list[tuple[str, int]] = []
    for entry in manifest.files:
        if not entry.path.startswith(prefix):
            continue
        first, slash, _rest = entry.path.removeprefix(prefix).partition("/")
        if slash:
            folders[first] = folders.get(first, 0) + entry.size_bytes
        else:
            files.append((first, entry.size_bytes))
    files.sort()
    return Folder(path, tuple(sorted(folders.items())), tuple(files[:MOST_LISTED]), max(0, len(files) - MOST_LISTED))


def _shown(front: Installation, name: str, path: str) -> Shown:
    file = front.pool.stored_file(name, path)
    kind = kind_of(file.path)
    plays = PurePosixPath(file.path).suffix.lower() in PLAYED
    shown = Shown(file, kind, plays)
    try:
        if kind in {"picture", "video"} and not file.path.lower().endswith(".svg"):
            return Shown(file, kind, plays, facts=front.pool.footage(file))
        if kind == "table" and not file.path.lower().endswith((".parquet", ".pq")):
            with front.pool.open_file(file) as content:
                return Shown(file, kind, table=read_table(content))
        if kind in {"text", "map"}:
            with front.pool.open_file(file) as content:
                return Shown(file, kind, text=read_text(content))
    except FootageUnreadable as error:
        return Shown(file, kind, problem=f"It is no footage that can be read: {error.what}")
    except WinslowError as error:
        return Shown(file, kind, problem=f"It cannot be read: {error.what}")
    return shown
