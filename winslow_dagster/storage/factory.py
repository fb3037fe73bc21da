"""Opens a store by its URL (`file:///path`, `s3://bucket/prefix`)."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from winslow_dagster.errors import StoreError
from winslow_dagster.storage.local import LocalStore
from winslow_dagster.storage.store import Store


def open_store(url: str, s3_endpoint: str | None = None) -> Store:
    """The store at `url`. Accesses neither disk nor network. Raises StoreError for an invalid URL.

    `s3_endpoint`: the S3 server; by default AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or AWS itself.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path.startswith("/"):
        return LocalStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        # Imported only here: the S3 clients take most of a second to import.
        from winslow_dagster.storage.s3 import S3Store

        endpoint = s3_endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        return S3Store(parts.netloc, unquote(parts.path), endpoint or None)
    raise StoreError(
        "not a store URL",
        where=url,
        expected="file:///directory or s3://bucket/prefix",
        remedy="Correct WINSLOW_STORE_URL.",
    )
