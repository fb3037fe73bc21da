"""The files Dagster reads at start: its instance and its workspace, derived from the shipped ones and the settings."""

from __future__ import annotations

from typing import Any

import yaml

from winslow_dagster.defaults import default_file
from winslow_dagster.settings import Settings

LOCATION = "winslow"


def instance_config(settings: Settings) -> dict[str, Any]:
    """The shipped dagster.yaml, and PostgreSQL as its storage where that is what WINSLOW_DATABASE_URL names."""
    config: dict[str, Any] = yaml.safe_load(default_file("dagster.yaml").read_text())
    if settings.database_url.startswith("postgresql"):
        config["storage"] = {"postgres": {"postgres_url": settings.database_url}}
    return config


def write_instance(settings: Settings) -> None:
    """Bring Dagster's home up to date with the settings."""
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    target = settings.dagster_home / "dagster.yaml"
    text = yaml.safe_dump(instance_config(settings), sort_keys=False)
    if not target.exists() or target.read_text() != text:
        target.write_text(text)
    code_server = {
        "load_from": [{"grpc_server": {"socket": str(settings.sockets_dir / "code.sock"), "location_name": LOCATION}}]
    }
    (settings.dagster_home / "workspace.yaml").write_text(yaml.safe_dump(code_server, sort_keys=False))
