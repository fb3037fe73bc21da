"""The pool over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from winslow_dagster.client.downloads import Begun, download
from winslow_dagster.client.http import Http, part
from winslow_dagster.projects.domain.pool import (
    PoolAct,
    PoolDetails,
    PoolEffect,
    PoolEntry,
    PoolPage,
    PoolPurge,
    PoolQuery,
    TrashedFile,
)
from winslow_dagster.storage.archives import ArchiveFormat


class _Trash(BaseModel):
    files: tuple[TrashedFile, ...]


class PoolClient:
    """Like `Winslow.pool`. Files from this machine are sent with `WinslowClient.uploads`."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def find(self, query: PoolQuery | None = None) -> PoolPage:
        """One page of the files that match the query, and who uses them."""
        return self._http.get(PoolPage, "/pool", **(query or PoolQuery()).model_dump(mode="json"))

    def details(self, name: str) -> PoolDetails:
        """A file with the projects and attempts that have it. Raises NotFound."""
        return self._http.get(PoolDetails, _path(name))

    def effect(self, act: PoolAct, name: str) -> PoolEffect:
        """What it would mean to remove, rename or replace a file. Raises NotFound."""
        return self._http.get(PoolEffect, f"{_path(name)}/effect", act=act)

    def add(self, path: str, name: str | None = None) -> PoolEntry:
        """Copy a file or a directory of the server into the pool. Raises InputRejected, Forbidden, ProjectConflict."""
        return self._http.post(PoolEntry, "/pool", {"path": path, "name": name})

    def download(
        self, name: str, target: str | Path, form: ArchiveFormat = "tar", started: Begun | None = None
    ) -> Path:
        """Save a directory or a file as one archive. Goes on where an earlier call stopped. See `ProjectClient`."""
        return download(self._http, f"{_path(name)}/archive", Path(target).expanduser(), started, format=form)

    def rename(self, name: str, new_name: str) -> PoolEntry:
        """Give a file another name. Projects that have it keep it. Raises NotFound, ProjectConflict."""
        return self._value(PoolEntry, "PATCH", name, {"name": new_name})

    def replace(self, name: str, source: str) -> TrashedFile:
        """Have a path on the server, or `pool:OTHER`, take the place of a file. Returns the earlier one."""
        return self._http.put(TrashedFile, _path(name), {"source": source})

    def remove(self, name: str) -> TrashedFile:
        """Delete a file. It can be restored for a while, and projects that have it keep it. Raises NotFound."""
        return self._http.delete(TrashedFile, _path(name))

    def trash(self) -> tuple[TrashedFile, ...]:
        """The deleted files, the last one first, and when the content of each is removed."""
        return self._http.get(_Trash, "/pool-trash").files

    def restore(self, which: str, name: str | None = None) -> PoolEntry:
        """Restore a deleted file, by its id or name. Raises NotFound, ProjectConflict if its name is taken."""
        return self._http.post(PoolEntry, f"/pool-trash/{part(which)}/restore", {"name": name})

    def purge(self, which: str) -> PoolPurge:
        """Remove the content of a deleted file for good. Only administrators may. Raises ProjectConflict."""
        return self._http.delete(PoolPurge, f"/pool-trash/{part(which)}")

    def _value(self, kind: type[PoolEntry], method: str, name: str, body: dict[str, Any]) -> PoolEntry:
        return kind.model_validate_json(self._http.send(method, _path(name), body=body).content)


def _path(name: str) -> str:
    return f"/pool/{part(name)}"
