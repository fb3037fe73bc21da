"""An installation without services, and people in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from account_clock import Clock

from winslow_dagster.projects.accounts.service import AccountService
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.installation import Installation
from winslow_dagster.services import Services
from winslow_dagster.settings import Settings


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def installation(database_url: str, tmp_path: Path, clock: Clock) -> Iterator[Installation]:
    settings = Settings.read({"WINSLOW_HOME": str(tmp_path / "home"), "WINSLOW_DATABASE_URL": database_url})
    with Installation(settings, Services(settings), Actor("root", "cli", "here")) as opened:
        opened.context = replace(opened.context, clock=clock)
        yield opened


@pytest.fixture
def accounts(installation: Installation) -> AccountService:
    return installation.accounts
