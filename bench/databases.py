"""A PostgreSQL database for a benchmark, if the tests' server is available."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from sqlalchemy import create_engine, make_url, text


@contextmanager
def postgres_database() -> Iterator[str | None]:
    """URL of an empty database that is dropped at the end; None if WINSLOW_TEST_POSTGRES_URL is not set."""
    server = os.environ.get("WINSLOW_TEST_POSTGRES_URL")
    if server is None:
        print("PostgreSQL skipped: WINSLOW_TEST_POSTGRES_URL is not set", file=sys.stderr)
        yield None
        return
    name = f"bench_{uuid4().hex}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()
