from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starting_place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(params=["plain", "forked"])
def start(request: pytest.FixtureRequest, place: Place) -> Iterator[Place]:
    """A place with a fork server and without: starts must not differ."""
    if request.param == "plain":
        yield place
    else:
        with place.server("shared_state"):
            yield place
