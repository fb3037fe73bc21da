"""Pages from templates. Everything that a template is given is escaped; there is no way around that."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from winslow_dagster.actions import command_text
from winslow_dagster.console import assets
from winslow_dagster.console.navigation import PLACES
from winslow_dagster.formatting import format_duration, format_left, format_size, format_time

THEMES = frozenset({"dark", "light"})
THEME_COOKIE = "winslow_theme"

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(request: Request, template: str, *, status: int = HTTPStatus.OK, **values: Any) -> HTMLResponse:
    """A page, or a part of one, for the sender of the request. Templates know `caller`, `path` and `places` too."""
    theme = request.cookies.get(THEME_COOKIE, "")
    content = TEMPLATES.get_template(template).render(
        caller=request.scope.get("winslow.caller"),
        path=request.url.path,
        live_position=request.scope["winslow.live_position"],
        places=PLACES,
        theme=theme if theme in THEMES else "",
        **values,
    )
    return HTMLResponse(content, status)


def moment(at: datetime | None, shown: str = "relative") -> Markup:
    """A moment, which the browser shows in the reader's zone: `relative` ("3 minutes ago") or `full`."""
    if at is None:
        return Markup("")
    iso = at.astimezone(UTC).isoformat(timespec="seconds")
    return Markup('<time datetime="{}" data-shown="{}" title="{}">{}</time>').format(
        iso, shown, format_time(at), format_time(at)
    )


def size(size_bytes: float | None) -> Markup:
    """A number of bytes, which the browser shows in the reader's notation."""
    if size_bytes is None:
        return Markup("")
    return Markup('<data value="{}" data-unit="bytes">{}</data>').format(int(size_bytes), format_size(size_bytes))


def duration(duration_s: float | None) -> str:
    """A number of seconds."""
    return "" if duration_s is None else format_duration(duration_s)


def left(remaining_s: float) -> str:
    """The time left, as a part of a sentence."""
    return format_left(remaining_s)


def capitalize_first(text: str) -> str:
    """The text with a capital letter in front. `capitalize` would make the rest lower case."""
    return text[:1].upper() + text[1:]


def number(text: str) -> str:
    """A number as the field of a form takes it: without an exponent, and without a point where it has no decimals."""
    try:
        return f"{Decimal(text).normalize():f}"
    except InvalidOperation:
        return text


def sentence(text: str) -> str:
    """The text as a sentence of its own."""
    return capitalize_first(text) + ("" if text.endswith((".", "?", "!", "…")) else ".")


def listed(names: Iterable[str]) -> str:
    """Names as a sentence has them: `a, b and c`."""
    *before, last = [*names] or [""]
    return f"{', '.join(before)} and {last}" if before else last


def detail(value: Any) -> str:
    """A value of any shape, such as an argument of an action: texts and numbers as they are, the rest as JSON."""
    return str(value) if isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False)


TEMPLATES.globals |= {"asset": assets.address}
TEMPLATES.filters |= {
    "command": command_text,
    "moment": moment,
    "size": size,
    "duration": duration,
    "left": left,
    "capitalize_first": capitalize_first,
    "sentence": sentence,
    "number": number,
    "detail": detail,
    "listed": listed,
}
