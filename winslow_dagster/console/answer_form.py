"""An answer with files as a form sends it, refused before it is read if it is too large."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import FormData

from winslow_dagster.errors import InputRejected

UPLOAD_MOST_BYTES = 100 * 2**20
REST_MOST_BYTES = 8 * 2**20
"""Of an answer beside its files. Ten thousand points need about two."""


async def _sent(request: Request) -> FormData:
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > UPLOAD_MOST_BYTES + REST_MOST_BYTES:
        raise InputRejected(
            "the files are too large to be sent with a form",
            expected="at most 100 MiB in all",
            remedy="Copy them to the server, and answer with `winslow answer`",
        )
    return await request.form(max_part_size=REST_MOST_BYTES)


SentAnswer = Annotated[FormData, Depends(_sent)]
"""The fields of the form. Raises InputRejected if it is too large."""
