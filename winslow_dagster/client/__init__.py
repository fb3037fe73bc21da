"""The Python API over HTTP: `from winslow_dagster.client import WinslowClient`."""

from winslow_dagster.client.client import WinslowClient

__all__ = ["WinslowClient"]
