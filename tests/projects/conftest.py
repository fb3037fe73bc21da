"""What the tests of projects share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from house import House, built

from winslow_dagster.projects.database.records import ProjectRecords


@pytest.fixture
def records(database_url: str) -> Iterator[ProjectRecords]:
    opened = ProjectRecords.open(database_url)
    yield opened
    opened.close()


@pytest.fixture
def house(tmp_path: Path, database_url: str) -> Iterator[House]:
    yield from built(tmp_path, database_url)
