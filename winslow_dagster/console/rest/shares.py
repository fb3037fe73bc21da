"""Links by which somebody without an account downloads one file or one folder."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Query
from pydantic import Field

from winslow_dagster.console.caller import Front
from winslow_dagster.console.rest.project import RequestBody
from winslow_dagster.console.room import Room, RowId
from winslow_dagster.errors import InputRejected
from winslow_dagster.projects.domain.shares import SHARE_DAYS, NewShare, Share
from winslow_dagster.projects.installation import Installation
from winslow_dagster.storage.archives import ArchiveFormat

room = Room(prefix="/shares", tags=["shares"])


class ShareRequest(RequestBody):
    """What to share: with `path` one file of a stage, else a folder as an archive: of all stages or of one.

    With `pool`, a file or directory of the pool instead.
    """

    project: str | None = None
    stage: str | None = None
    attempt: str | int | None = None
    pipeline: str | None = None
    path: str | None = None
    pool: str | None = None
    format: ArchiveFormat = "zip"
    days: Annotated[float, Field(allow_inf_nan=False)] = SHARE_DAYS


@room.route_for("", role="viewer")
def list_shares(
    front: Front, *, everybody: Annotated[bool, Query(description="Of all people: for administrators.")] = False
) -> tuple[Share, ...]:
    """The sender's own links, the newest first."""
    return front.shares.list(everybody=everybody)


@room.route_for("", role="viewer", method="POST", status_code=HTTPStatus.CREATED)
def create_share(front: Front, body: ShareRequest) -> NewShare:
    """Make a link. The answer is the only one that has its key: the link is `/shared/KEY`."""
    return share(front, body)


@room.route_for("/{number}", role="viewer", method="DELETE")
def revoke_share(front: Front, number: RowId) -> Share:
    """End a link."""
    return front.shares.revoke(number)


def share(front: Installation, body: ShareRequest) -> NewShare:
    """The link that is asked for. Raises InputRejected for one to nothing, or to two things."""
    if (body.project is None) == (body.pool is None):
        raise InputRejected("what is to be shared?", expected="either a project or a file of the pool")
    if body.pool is not None:
        return front.shares.create_for_pool(body.pool, form=body.format, days=body.days)
    assert body.project is not None  # noqa: S101  # checked above
    return front.shares.create(
        body.project,
        body.stage,
        body.attempt,
        path=body.path,
        pipeline=body.pipeline,
        form=body.format,
        days=body.days,
    )
