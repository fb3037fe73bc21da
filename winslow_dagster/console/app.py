"""The console as one ASGI application: our pages, the REST API, and Dagster's web interface under /dagit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from starlette.types import ASGIApp

from winslow_dagster.console import live, openapi, pages, rest
from winslow_dagster.console.access import Access
from winslow_dagster.console.assets import serve_asset
from winslow_dagster.console.checkup import Checkups
from winslow_dagster.console.compression import Compression
from winslow_dagster.console.counters import FrameCounts
from winslow_dagster.console.guard import Guard
from winslow_dagster.console.headers import SecureHeaders
from winslow_dagster.console.oidc import provider_of
from winslow_dagster.console.problems import register_problems
from winslow_dagster.console.room import LOGS, WAITING_FOR_A_BUCKET
from winslow_dagster.engines.slurm.messages import PATH as AGENTS_PATH
from winslow_dagster.projects.dagster_api.serving import DAGIT_PATH
from winslow_dagster.projects.installation import Installation

TITLE = "Winslow"


def create_app(installation: Installation, dagit: ASGIApp | None = None) -> ASGIApp:
    """The application. The guard is in front of everything, then the log-in."""

    @contextlib.asynccontextmanager
    async def tidying(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(rest.uploads.tidy_now_and_then(installation))
        yield
        task.cancel()

    app = FastAPI(title=TITLE, docs_url=None, redoc_url=None, openapi_url=openapi.PATH, lifespan=tidying)
    app.state.installation = installation
    app.state.provider = provider_of(installation.settings.access)
    app.state.live = live.Live(installation)
    app.state.counters = FrameCounts(installation)
    app.state.checkups = Checkups(installation.diagnose)
    if installation.settings.store_url.startswith("s3://"):
        LOGS.total_tokens = WAITING_FOR_A_BUCKET
    register_problems(app)
    openapi.describe_problems(app)
    app.include_router(live.room)
    for room in rest.ROOMS:
        app.include_router(room, prefix="/api/v1", responses=openapi.PROBLEMS)
    app.include_router(rest.agents.room, prefix=AGENTS_PATH)
    for room in pages.ROOMS:
        app.include_router(room, include_in_schema=False)
    app.mount("/static", serve_asset)
    if dagit is not None:
        app.mount(DAGIT_PATH, dagit)
    inside = live.LivePosition(SecureHeaders(Compression(app)), app.state.live)
    return Guard(Access(inside, installation), installation.settings.known_hosts)
