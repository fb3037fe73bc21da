"""What a button answers: nothing to show but a short message."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import Depends, Request
from starlette.datastructures import FormData
from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class Undo:
    """What undoes an act: the fields that are sent to a path."""

    path: str
    fields: dict[str, str]


def done(text: str, *, go_to: str = "", tone: Literal["good", "bad"] = "good", undo: Undo | None = None) -> Response:
    """The act is done, which the message says. With `go_to`, the browser opens that page, which shows the message."""
    message = {"text": text, "tone": tone} | ({"undo": asdict(undo)} if undo else {})
    headers = {"HX-Trigger": json.dumps({"winslow:message": message})}
    if go_to:
        headers["HX-Redirect"] = go_to
    return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)


def changed(text: str) -> Response:
    """Like `done`, on a page whose parts fetch themselves again."""
    shown = {"winslow:message": {"text": text, "tone": "good"}, "winslow:changed": {}}
    return Response(status_code=HTTPStatus.NO_CONTENT, headers={"HX-Trigger": json.dumps(shown)})


async def _form(request: Request) -> FormData:
    return await request.form()


SentForm = Annotated[FormData, Depends(_form)]
"""All fields of a form, for routes that cannot name them."""
