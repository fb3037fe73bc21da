"""A PostgreSQL server of a test's own, which it may stop and start."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

SCRIPT = Path(__file__).parents[1] / "deploy" / "services" / "postgres.sh"


class PostgresServer:
    """Its data lie in `directory`, which must not exist yet. Only what was flushed survives `stop`, as in a crash."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._environment = {**os.environ, "WINSLOW_POSTGRES_DIR": str(directory)}
        # A file: the server would hold a pipe open.
        address = directory.with_name(f"{directory.name}.address")
        with address.open("wb") as file:
            subprocess.run([SCRIPT, "up"], env=self._environment, stdout=file, check=True)
        self.url = address.read_text().strip()

    def new_database(self, name: str) -> str:
        """The URL of a fresh, empty database."""
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{name}"'))
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)

    def stop(self) -> None:
        """Close all connections; from now on, none can be opened."""
        self._control("stop", "-m", "fast")

    def start(self) -> None:
        """Listen at the same address again."""
        port = make_url(self.url).port
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories='' -c max_connections=300"
        self._control("start", "-l", str(self._directory / "log"), "-o", options)

    def remove(self) -> None:
        """Stop it, and delete its data."""
        subprocess.run([SCRIPT, "down"], env=self._environment, check=True)

    def _control(self, *arguments: str) -> None:
        newest = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        command = [str(newest / "pg_ctl"), "-D", str(self._directory / "data"), "-w", "-s", *arguments]
        as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        nothing = subprocess.DEVNULL
        subprocess.run([*as_user, *command], check=True, cwd="/", stdin=nothing, stdout=nothing, stderr=nothing)
