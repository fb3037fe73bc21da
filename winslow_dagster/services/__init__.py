"""The services of an installation: code server, web server, daemon and fork servers, supervised together."""

from winslow_dagster.services.handle import Services

__all__ = ["Services"]
