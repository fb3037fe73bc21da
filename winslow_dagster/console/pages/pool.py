"""One file of the pool: who has it, what is in it, and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import Form, Query, Request
from pydantic import BaseModel
from starlette.responses import HTMLResponse, RedirectResponse, Response

from winslow_dagster.console.acts import Undo, done
from winslow_dagster.console.caller import Front
from winslow_dagster.console.commands import command
from winslow_dagster.console.footage_paths import PREVIEW_WIDTH, is_shown_as_it_is
from winslow_dagster.console.previews import Kind, Table, Text, kind_of, read_table, read_text
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import FOOTAGE, Room
from winslow_dagster.errors import FootageUnreadable, WinslowError
from winslow_dagster.footage import Footage
from winslow_dagster.projects.domain.pool import PoolAct
from winslow_dagster.projects.domain.views import ProjectFile
from winslow_dagster.projects.installation import Installation

PATH = "/pool"
LIST = "/files"

room = Room(prefix=PATH)
detail_room = Room(prefix=PATH, threads=FOOTAGE)


@dataclass(frozen=True, slots=True)
class Shown:
    """One file as far as a browser shows it."""

    file: ProjectFile
    kind: Kind
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
def show_pool(request: Request) -> RedirectResponse:
    """The list of the pool is a part of the page about files."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{LIST}{query}", HTTPStatus.PERMANENT_REDIRECT)


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
    several = details.file.is_directory
    return page(
        request,
        "pool/file.html",
        details=details,
        several=several,
        here=pool_path(name, folder=folder, file=file),
        folder=front.pool.folder(name, folder.strip("/")) if several else None,
        wanted=file,
        check=front.footage_checks.of([details.file]).get(name),
        shown=_shown(front, name, file) if file or not several else None,
        others=[each for each in front.pool.names() if each != name],
        earlier_uses={each.id: each.used_by for each in details.earlier},
        pool_path=pool_path,
        content_path=content_path,
        archive_path=archive_path,
        picture_path=picture_path,
        footage_paths=footage_paths,
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
    return done(f"{name} is no longer in the pool.", go_to=LIST, undo=_undo(deleted.id))


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


def picture_path(name: str, file: ProjectFile, width: int | None = PREVIEW_WIDTH) -> str:
    """The address of a picture of the file: at the size of a preview, of another width, or (None) at its own size."""
    if is_shown_as_it_is(file.path) and kind_of(file.path) == "picture":
        return content_path(name, file.path)
    return _api(name, "picture", path=file.path, width=str(width or ""), version=file.blake3)


def footage_paths(name: str, file: ProjectFile) -> dict[str, str]:
    """What a player is given: the addresses of the film, of what is known of it, and of the page with zoom."""
    api = ("footage", "frames", "filmstrip", "proxy")
    return {
        "src": content_path(name, file.path),
        "look": f"{PATH}/{quote(name, safe='')}/look?{urlencode({'path': file.path})}",
        **{what: _api(name, what, path=file.path, version=file.blake3) for what in api},
    }


def _api(name: str, what: str, **query: str) -> str:
    given = {key: value for key, value in query.items() if value}
    return f"/api/v1/pool/{quote(name, safe='')}/{what}{f'?{urlencode(given)}' if given else ''}"


def _undo(file_id: str) -> Undo:
    return Undo(f"/trash/files/{file_id}/restore", {})


def _shown(front: Installation, name: str, path: str) -> Shown:
    file = front.pool.stored_file(name, path)
    kind = kind_of(file.path)
    shown = Shown(file, kind)
    try:
        if kind in {"picture", "video"} and not file.path.lower().endswith(".svg"):
            return Shown(file, kind, facts=front.pool.footage(file))
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
