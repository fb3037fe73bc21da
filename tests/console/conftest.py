"""A web server that several test modules share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from web_server import ALLOWED_ADDRESS, ALLOWED_NAME, RESUME, Console, serving


@pytest.fixture(scope="session")
def console_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    hosts = f"{ALLOWED_NAME}, [{ALLOWED_ADDRESS}]"
    with serving(tmp_path_factory.mktemp("console") / "home", WINSLOW_ALLOWED_HOSTS=hosts) as console:
        yield console


@pytest.fixture
def console(console_process: Console) -> Console:
    """The web server, not paused."""
    console_process.ask(RESUME)
    assert not console_process.paused()
    return console_process
