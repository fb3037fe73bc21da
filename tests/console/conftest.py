"""Web servers and a browser that several test modules share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from every_state import running
from project_server import Server
from web_server import ALLOWED_ADDRESS, ALLOWED_NAME, RESUME, Console, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser


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


@pytest.fixture(scope="session")
def every_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An installation with projects in every state. What a test needs in a certain state, it makes itself."""
    with running(tmp_path_factory.mktemp("every-state")) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser that nobody has used. Modules that start theirs in another way have their own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        yield opened
        opened.close()
