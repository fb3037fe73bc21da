"""Links from Dagster's web interface to the console's pages."""

from __future__ import annotations

from urllib.parse import quote

from dagster import MetadataValue, UrlMetadataValue

CONSOLE_PAGE = "console"
"""The name of the metadata entry."""


def console_page(project: str, stage: str | None = None) -> UrlMetadataValue:
    """The page of a project, or of one of its stages.

    Without a host: both are served by the same server, under whatever name a browser reaches it.
    """
    page = f"/projects/{quote(project)}"
    return MetadataValue.url(page if stage is None else f"{page}/stages/{quote(stage)}")
