"""What the tests of whole runs share."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from whole_installation import BREAKING, SLOWEST, SPEEDING, WAITING, WONDERING, Installation


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    place = tmp_path_factory.mktemp("installation")
    pipelines = place / "pipeline_configs"
    pipelines.mkdir()
    (pipelines / "speeding.yaml").write_text(SPEEDING.format(limit="50"))
    (pipelines / "waiting.yaml").write_text(WAITING)
    (pipelines / "wondering.yaml").write_text(WONDERING)
    (pipelines / "slowest.yaml").write_text(SLOWEST)
    (pipelines / "breaking.yaml").write_text(BREAKING)
    (place / "speeds.csv").write_text("1,48\n2,63\n3,71\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"WINSLOW_HOME": str(place / "home"), "WINSLOW_PORT": str(port), "WINSLOW_STAGE_MODE": "process"}
    installation = Installation(place, settings, port)
    with installation.up():
        yield installation
