"""A list of projects as a URL: its filter line, order, groups and page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, get_args
from urllib.parse import urlencode

from fastapi import Depends, Query

from winslow_dagster.errors import FilterInvalid, UsageError
from winslow_dagster.projects.domain.project_filter import format_filter, parse_filter
from winslow_dagster.projects.domain.views import ProjectGroup, ProjectQuery, ProjectSort, SavedView

PATH = "/projects"
PAGE_SIZE = 50
NEEDING = "state:awaiting_input state:failed state:interrupted -is:noted"
"""The filter of the projects that wait for a person."""
NEWEST_FIRST = "-created_at"
"""The order of a list without another: rows keep their places while projects run."""
SORTS: tuple[ProjectSort, ...] = get_args(ProjectSort)
GROUPS: tuple[ProjectGroup, ...] = get_args(ProjectGroup)


@dataclass(frozen=True, slots=True)
class Listing:
    """What the URL of a list says. `sort` begins with `-` for the reverse order, and `page` counts from 1."""

    filter: str = ""
    sort: str = NEWEST_FIRST
    group: str = ""
    page: int = 1

    @classmethod
    def of(cls, view: SavedView) -> Listing:
        """The list that somebody saved."""
        return cls(view.filter, f"{'-' if view.descending else ''}{view.sort}", view.group or "")

    def view(self, name: str, *, shared: bool) -> SavedView:
        """The list under a name. Raises what `query` raises."""
        query = self.query()
        return SavedView(
            owner="",
            name=name,
            filter=self.filter,
            sort=query.sort,
            descending=query.descending,
            group=query.group,
            shared=shared,
        )

    def query(self, size: int = PAGE_SIZE) -> ProjectQuery:
        """The query for one page. Raises UsageError, and FilterInvalid for the filter line."""
        sort = self.sort.removeprefix("-")
        _require(sort, SORTS, "sort")
        if self.group:
            _require(self.group, GROUPS, "group")
        return ProjectQuery.model_validate(
            {
                **parse_filter(self.filter).model_dump(),
                "sort": sort,
                "descending": self.sort.startswith("-"),
                "group": self.group or None,
                "limit": size,
                "offset": (self.page - 1) * size,
            }
        )

    def address(self, **changed: str | int) -> str:
        """The URL of this list, or of another that differs in these fields and begins at its first page."""
        other = replace(self, **{"page": 1, **changed}) if changed else self  # type: ignore[arg-type]  # by name
        said = {"filter": other.filter, "sort": other.sort, "group": other.group, "page": str(other.page)}
        usual = {"filter": "", "sort": NEWEST_FIRST, "group": "", "page": "1"}
        differing = {name: value for name, value in said.items() if value != usual[name]}
        return f"{PATH}?{urlencode(differing)}" if differing else PATH

    def narrowed(self, field: str, value: str, *, excludes: bool = False) -> str:
        """The URL of this list with one more word: `field` is one of `ProjectFilter`, without `not_`."""
        own, other = (f"not_{field}", field) if excludes else (field, f"not_{field}")
        try:
            wanted = parse_filter(self.filter)
        except FilterInvalid:
            wanted = parse_filter("")
        values = (*(each for each in getattr(wanted, own) if each != value), value)
        rest = tuple(each for each in getattr(wanted, other) if each != value)
        return self.address(filter=format_filter(wanted.model_copy(update={own: values, other: rest})))


async def _asked(
    line: Annotated[
        str,
        Query(
            alias="filter", description="Words such as `state:failed tag:ulm -tag:old pipeline:NAME owner:NAME text`."
        ),
    ] = "",
    sort: Annotated[str, Query(description="A field, with `-` before it for the reverse order.")] = NEWEST_FIRST,
    group: Annotated[str, Query(description="pipeline, state, owner or tag")] = "",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> Listing:
    return Listing(line, sort, group, page)


ListingAsked = Annotated[Listing, Depends(_asked)]
"""The list that the URL of a request says."""


def _require(value: str, known: tuple[str, ...], name: str) -> None:
    if value not in known:
        raise UsageError(f"{name} is {value!r}", where=PATH, expected=f"one of {', '.join(known)}")
