"""A server that a command talks to over HTTP, from any machine."""

from __future__ import annotations

import os

from winslow_dagster.errors import ServiceUnavailable


def server_of(address: str | None) -> tuple[str, str | None]:
    """Address and token. Raises ServiceUnavailable if no services run here and no address is given."""
    from winslow_dagster.projects.dagster_api.credential import read_key
    from winslow_dagster.services import Services
    from winslow_dagster.settings import Settings

    if address:
        return address, os.environ.get("WINSLOW_TOKEN")
    settings = Settings.read()
    services = Services(settings)
    if not services.running():
        raise ServiceUnavailable(
            "no services run on this machine", expected="the address of a server with --to or in WINSLOW_ADDRESS"
        )
    return services.address, read_key(settings)
