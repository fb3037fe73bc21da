"""The files Dagster reads at start: its instance and its workspace, derived from the shipped ones and the settings."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Any

import yaml

from winslow_dagster.defaults import default_file
from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.settings import Settings

LOCATION = "winslow"


def instance_config(settings: Settings) -> dict[str, Any]:
    """The shipped dagster.yaml with the installation's id and its storage: SQLite, or PostgreSQL."""
    config: dict[str, Any] = yaml.safe_load(default_file("dagster.yaml").read_text())
    config["run_launcher"]["config"] = {"installation": installation_id(settings)}
    if settings.database_url.startswith("postgresql"):
        # By reference: the URL holds a password, and Dagit shows this file.
        config["storage"] = {"postgres": {"postgres_url": {"env": "WINSLOW_DATABASE_URL"}}}
    else:
        config["storage"] = {
            "custom": {
                "module": "winslow_dagster.jobs.sqlite_storage",
                "class": "PooledSqliteStorage",
                "config": {"base_dir": str(settings.dagster_home)},
            }
        }
    return config


def installation_id(settings: Settings) -> str:
    """Which installation the database of these settings belongs to. Raises ServiceUnavailable."""
    with contextlib.closing(ProjectRecords.open(settings.database_url)) as records:
        return records.database.installation_id


def private_directory(directory: Path) -> None:
    """Create a directory that only its owner may enter, or make it one.

    Raises ServiceUnavailable if it is another user's, or a link: somebody else may have prepared it.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise ServiceUnavailable(
            "the directory belongs to another user, or is a link",
            where=str(directory),
            expected="a directory of the user who starts the services",
            remedy="Remove it, or choose another WINSLOW_HOME",
        )
    directory.chmod(0o700)


def code_socket(settings: Settings) -> Path:
    """The socket of the code server."""
    return settings.sockets_dir / "code.sock"


def write_instance(settings: Settings) -> None:
    """Write the files that Dagster reads, if they have changed."""
    private_directory(settings.dagster_home)
    target = settings.dagster_home / "dagster.yaml"
    text = yaml.safe_dump(instance_config(settings), sort_keys=False)
    if not target.exists() or target.read_text() != text:
        target.write_text(text)
    code_server = {"load_from": [{"grpc_server": {"socket": str(code_socket(settings)), "location_name": LOCATION}}]}
    (settings.dagster_home / "workspace.yaml").write_text(yaml.safe_dump(code_server, sort_keys=False))
