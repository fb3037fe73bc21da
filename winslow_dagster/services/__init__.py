"""The processes behind a Winslow: code server, web server, daemon and the warm process servers, kept alive together."""

from winslow_dagster.services.handle import Services

__all__ = ["Services"]
