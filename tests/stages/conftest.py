from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from attempts import Place


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "process"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Where stages run, once with each launcher."""
    image = request.getfixturevalue("test_image") if request.param == "docker" else None
    place = Place(tmp_path / "home", request.param, image)
    yield place
    place.remove()


@pytest.fixture
def docker_place(test_image: str, tmp_path: Path) -> Iterator[Place]:
    """Where stages run in containers. Mark the test `docker`."""
    place = Place(tmp_path / "home", "docker", test_image)
    yield place
    place.remove()


@pytest.fixture
def process_place(tmp_path: Path) -> Iterator[Place]:
    """Where stages run as processes."""
    place = Place(tmp_path / "home", "process", None)
    yield place
    place.remove()
