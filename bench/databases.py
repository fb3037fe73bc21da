"""A PostgreSQL database of its own for a benchmark, where the tests' server is there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from sqlalchemy import create_engine, make_url, text


@contextmanager
def postgres_database() -> Iterator[str | None]:
    """The address of an empty database that is dropped at the end; None where WINSLOW_TEST_POSTGRES_URL names none."""
    server = os.environ.get("WINSLOW_TEST_POSTGRES_URL")
    if server is None:
        print("left out: PostgreSQL, which WINSLOW_TEST_POSTGRES_URL would name", file=sys.stderr)
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
