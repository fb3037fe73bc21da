"""Connects to the web server of a home's services."""

from __future__ import annotations

from winslow_dagster.projects.dagster_api.client import ANSWER_TIMEOUT_S, DagsterClient
from winslow_dagster.projects.dagster_api.credential import read_key
from winslow_dagster.projects.dagster_api.serving import serving_address, serving_certificate
from winslow_dagster.settings import Settings


def dagster_client(settings: Settings, installation_id: str, *, timeout_s: float = ANSWER_TIMEOUT_S) -> DagsterClient:
    """A client of the web server of this home's services; if none run, of the place where they would listen."""
    return DagsterClient(
        serving_address(settings),
        installation_id,
        key=read_key(settings),
        timeout_s=timeout_s,
        certificate=serving_certificate(settings),
    )
