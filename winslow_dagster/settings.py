"""WINSLOW_* settings, read once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import sha256
from math import inf
from pathlib import Path
from tempfile import gettempdir
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from winslow_dagster.defaults import default_file
from winslow_dagster.errors import SettingsInvalid

StageMode = Literal["auto", "docker", "process"]
HIGHEST_PORT = 65535
LONGEST_SOCKETS_DIR = 80


class Settings(BaseModel):
    """Where things live on this machine. Frozen; made by `Settings.read`."""

    model_config = ConfigDict(frozen=True)

    home: Path = Field(description="Everything this installation writes: database, store, logs, task directories.")
    pipelines_dir: Path = Field(description="The directory of pipeline YAML files.")
    store_url: str = Field(description="Where outputs live: file:///path or s3://bucket/prefix.")
    database_url: str = Field(description="SQLAlchemy address of the project tables.")
    stage_mode: StageMode = Field(description="Run stages in containers, as processes, or as the machine allows.")
    port: int = Field(description="The port of the web server.")
    s3_endpoint: str | None = Field(description="Address of an S3 server other than AWS.")
    run_retention_days: float = Field(
        description="How long Dagster keeps runs that no project needs any more. A project's own history is kept."
    )
    notify_file: Path = Field(description="The YAML file of who is told what; where there is none, nobody is told.")
    watch_file: Path = Field(description="The YAML file of watched directories; where there is none, none is watched.")

    @property
    def address(self) -> str:
        """Where the web server listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def tasks_dir(self) -> Path:
        """One directory a stage attempt, on the node that runs it."""
        return self.home / "tasks"

    @property
    def cache_dir(self) -> Path:
        """The content-addressed cache of inputs on this node."""
        return self.home / "cache"

    @property
    def versions_dir(self) -> Path:
        """Immutable copies of pipeline files, named by the hash of their content."""
        return self.home / "pipeline_versions"

    @property
    def sockets_dir(self) -> Path:
        """Unix sockets of the services. Beside the home where its path is short enough for the kernel's 107 bytes."""
        beside = self.home / "run"
        if len(bytes(beside)) <= LONGEST_SOCKETS_DIR:
            return beside
        return Path(gettempdir()) / f"winslow-{os.getuid()}-{sha256(bytes(self.home)).hexdigest()[:16]}"

    @property
    def dagster_home(self) -> Path:
        """Dagster's own files: dagster.yaml, event logs, compute logs."""
        return self.home / "dagster"

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the WINSLOW_* variables of `environ` (default: this process's).

        Raises SettingsInvalid naming the variable, what it held and what was expected.
        """
        source = os.environ if environ is None else environ
        home = Path(source.get("WINSLOW_HOME", ".winslow")).expanduser().resolve()
        mode = source.get("WINSLOW_STAGE_MODE", "auto")
        if mode not in get_args(StageMode):
            raise SettingsInvalid(
                f"WINSLOW_STAGE_MODE is {mode!r}", where="environment", expected="one of auto, docker, process"
            )
        port = source.get("WINSLOW_PORT", "3000")
        if not port.isdigit() or not 0 < int(port) <= HIGHEST_PORT:
            raise SettingsInvalid(f"WINSLOW_PORT is {port!r}", where="environment", expected="a port from 1 to 65535")
        return cls(
            home=home,
            pipelines_dir=pipelines_dir(source.get("WINSLOW_PIPELINES_DIR")),
            store_url=source.get("WINSLOW_STORE_URL", (home / "store").as_uri()),
            database_url=source.get("WINSLOW_DATABASE_URL", f"sqlite:///{home / 'winslow.db'}"),
            stage_mode=mode,
            port=int(port),
            s3_endpoint=source.get("WINSLOW_S3_ENDPOINT"),
            run_retention_days=days(source, "WINSLOW_RUN_RETENTION_DAYS", "90"),
            notify_file=Path(source.get("WINSLOW_NOTIFY_FILE") or home / "notify.yaml").expanduser().resolve(),
            watch_file=Path(source.get("WINSLOW_WATCH_FILE") or home / "watch.yaml").expanduser().resolve(),
        )


def days(source: Mapping[str, str], name: str, default: str) -> float:
    """A number of days. Raises SettingsInvalid."""
    given = source.get(name, default)
    try:
        number = float(given)
    except ValueError:
        number = -1.0
    if not 0 <= number < inf:
        raise SettingsInvalid(f"{name} is {given!r}", where="environment", expected="a number of days, such as 90")
    return number


def pipelines_dir(given: str | None) -> Path:
    """The directory that was given; without one `pipeline_configs` here, and where there is none the shipped one."""
    directory = Path(given or "pipeline_configs").expanduser().resolve()
    return directory if given or directory.is_dir() else default_file("pipeline_configs")
