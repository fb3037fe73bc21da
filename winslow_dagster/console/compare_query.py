"""What a page of comparison shows, all of it in its address."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Query

PATH = "/compare"
MOST_ATTEMPTS = 100
LINE_MOST = 10**15

Name = Annotated[str, Query(max_length=400)]
Line = Annotated[int, Query(ge=1, le=LINE_MOST)]


@dataclass(frozen=True, slots=True)
class CompareQuery:
    """The attempts, the part of the comparison, and what is chosen there. Empty is what stands first.

    `all`: also what is equal. `file` is a picture or a table, `key` the columns that identify its rows (`by_position`:
    none do), `only` a kind of rows, `first` the first of them. `x`, `y` and `axes` are those of charts, `left` and
    `right` lines of the logs.
    """

    attempts: tuple[str, ...] = ()
    show: str = ""
    all: bool = False
    file: str = ""
    key: tuple[str, ...] = ()
    by_position: bool = False
    only: str = ""
    first: int = 1
    x: str = ""
    y: str = ""
    axes: tuple[str, ...] = ()
    sort: str = ""
    left: int = 1
    right: int = 1
    ignore_times: bool = False
    find: str = ""

    def address(self, **changes: Any) -> str:
        """The address of the page with these changes."""
        changed = replace(self, **changes)
        chosen = {
            field.name: value
            for field in fields(changed)
            if (value := getattr(changed, field.name)) != field.default and value not in ("", ())
        }
        text = {name: 1 if value is True else value for name, value in chosen.items()}
        return f"{PATH}?{urlencode(text, doseq=True)}" if text else PATH

    def part(self, show: str) -> str:
        """The address of another part of the comparison."""
        return CompareQuery(attempts=self.attempts, show=show, all=self.all).address()

    def hidden(self, *changed: str) -> tuple[tuple[str, str], ...]:
        """Hidden fields of a form, so that it keeps everything but what it changes itself."""
        found: list[tuple[str, str]] = []
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in changed or value in (field.default, "", ()):
                continue
            values = value if isinstance(value, tuple) else ("1" if value is True else value,)
            found += [(field.name, str(each)) for each in values]
        return tuple(found)


async def _query(  # noqa: PLR0913  # the parts of an address
    *,
    attempts: Annotated[list[Name], Query(max_length=MOST_ATTEMPTS)] = [],  # noqa: B006  # FastAPI copies it
    show: Name = "",
    everything: Annotated[bool, Query(alias="all")] = False,
    file: Annotated[str, Query(max_length=1024)] = "",
    key: Annotated[list[Name], Query(max_length=20)] = [],  # noqa: B006
    by_position: bool = False,
    only: Name = "",
    first: Line = 1,
    x: Name = "",
    y: Name = "",
    axes: Annotated[list[Name], Query(max_length=100)] = [],  # noqa: B006
    sort: Name = "",
    left: Line = 1,
    right: Line = 1,
    ignore_times: bool = False,
    find: Name = "",
) -> CompareQuery:
    return CompareQuery(
        attempts=tuple(dict.fromkeys(attempts)),
        show=show,
        all=everything,
        file=file,
        key=tuple(key),
        by_position=by_position,
        only=only,
        first=first,
        x=x,
        y=y,
        axes=tuple(axes),
        sort=sort,
        left=left,
        right=right,
        ignore_times=ignore_times,
        find=find,
    )


CompareQueryOf = Annotated[CompareQuery, Depends(_query)]
