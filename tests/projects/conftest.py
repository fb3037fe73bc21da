"""What the tests of projects share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from winslow_dagster.projects.database.records import ProjectRecords


@pytest.fixture
def records(database_url: str) -> Iterator[ProjectRecords]:
    opened = ProjectRecords.open(database_url)
    yield opened
    opened.close()
