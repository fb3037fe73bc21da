"""What the control plane of an installation needs, read once from WINSLOW_* variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from winslow_dagster.defaults import default_file
from winslow_dagster.errors import SettingsInvalid
from winslow_dagster.formatting import is_utf8
from winslow_dagster.hosts import canonical_host
from winslow_dagster.paths import resolved
from winslow_dagster.settings.access import AccessSettings
from winslow_dagster.settings.cluster import SlurmSettings
from winslow_dagster.settings.node import NodeSettings
from winslow_dagster.settings.queue import QueueSettings
from winslow_dagster.settings.variables import (
    bind_address,
    comma_separated,
    days,
    hosts,
    number,
    tags,
    tls_files,
    web_address,
)

StageMode = Literal["auto", "docker", "process"]
EngineKind = Literal["local", "slurm"]
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared, not listened on
"""Addresses that stand for all of this machine's, and the one of them by which programs of this machine connect."""
HIGHEST_PORT = 65535
LONGEST_SOCKETS_DIR = 80


class Settings(BaseModel):
    """The settings of one installation's control plane. Frozen; made by `Settings.read`."""

    model_config = ConfigDict(frozen=True)

    home: Path = Field(description="Directory of this installation: database, store, logs, Dagster's files.")
    pipelines_dir: Path = Field(description="Directory of the pipeline YAML files.")
    store_url: str = Field(description="Where outputs are stored: file:///path or s3://bucket/prefix.")
    database_url: str = Field(description="SQLAlchemy URL of the project tables.")
    stage_mode: StageMode = Field(
        description="How stages run: `docker`, `process`, or `auto`: containers where Docker is available."
    )
    port: int = Field(
        description="Port on which `winslow up` listens. Other commands find the services by what these wrote into the "
        "home."
    )
    bind: str = Field(
        default="127.0.0.1",
        description="Address on which `winslow up` listens. Other machines reach the web server only at another one, "
        "such as 0.0.0.0 for all addresses of this machine; that needs people who can log in.",
    )
    tls_certificate: Path | None = Field(
        default=None,
        description="PEM file of the web server's certificate, followed by those between it and its authority. With "
        "it, the web server speaks https only.",
    )
    tls_key: Path | None = Field(default=None, description="PEM file of the private key of `WINSLOW_TLS_CERTIFICATE`.")
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Host names and addresses, separated by commas, by which browsers reach the web server beside "
        "localhost, such as the name of a proxy. Requests for other hosts are refused.",
    )
    public_url: str = Field(
        default="",
        description="URL by which people reach the web server, such as https://winslow.example.org. Links in messages "
        "begin with it, and requests for its host are answered. Without it, links lead to this machine only.",
    )
    input_dirs: tuple[Path, ...] = Field(
        default=(),
        description="Directories of the server, separated by commas, whose files operators may name as inputs in the "
        "web interface. Administrators may name any file.",
    )
    s3_endpoint: str | None = Field(description="URL of an S3 server other than AWS.")
    run_retention_days: float = Field(
        description="Days to keep Dagster's events of runs that no project needs any more; projects keep their own."
    )
    trash_days: float = Field(
        description="Days to keep a deleted project or a deleted file of the pool, which can be restored as long. Then "
        "its files are removed."
    )
    disk_warn_hours: float = Field(
        default=24.0,
        description="Warn if the disk of a node will be full within this many hours at its recent rate.",
    )
    disk_warn_percent: float = Field(
        default=5.0, description="Warn if less than this percentage of the disk of a node is free."
    )
    notify_file: Path = Field(
        description="The YAML file of notification channels. Without it, no notifications are sent."
    )
    retention_file: Path = Field(
        description="The YAML file of retention rules for all projects. Without it, administrators set them in the web "
        "interface."
    )
    quotas_file: Path = Field(
        description="The YAML file of quotas. Without it, administrators set them in the web interface."
    )
    watch_file: Path = Field(description="The YAML file of watched folders. Without it, no folder is watched.")
    access: AccessSettings = Field(default=AccessSettings(), description="How people log in.")
    queue: QueueSettings = Field(default=QueueSettings(), description="How the run queue is shared.")
    node: NodeSettings = Field(description="The settings of this machine as a node.")
    engine: EngineKind = Field(
        default="local",
        description="Where stages run: `local`, on this machine, or `slurm`, on the nodes of a Slurm cluster.",
    )
    slurm: SlurmSettings = Field(default=SlurmSettings(), description="How stages run on a Slurm cluster.")

    @property
    def address(self) -> str:
        """Where programs of this machine reach services started with these settings."""
        host = ANY_ADDRESS.get(self.bind, self.bind)
        scheme = "http" if self.tls_certificate is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def link_base(self) -> str:
        """What links in messages begin with."""
        return self.public_url or self.address

    @property
    def known_hosts(self) -> tuple[str, ...]:
        """Hosts by which browsers may reach the web server, beside localhost."""
        named = (self.public_url, self.slurm.control_plane_url)
        public = [host for url in named if (host := canonical_host(urlsplit(url).hostname or ""))]
        return (*self.allowed_hosts, self.bind, *public)

    @property
    def versions_dir(self) -> Path:
        """Immutable copies of pipeline files, named by their content hash."""
        return self.home / "pipeline_versions"

    @property
    def footage_dir(self) -> Path:
        """What was made of footage for people to look at; can be made again."""
        return self.home / "footage"

    @property
    def secrets_dir(self) -> Path:
        """The values of secrets."""
        return self.home / "secrets"

    @property
    def sockets_dir(self) -> Path:
        """Unix sockets of the services: in the home if the path fits into the kernel's 107 bytes."""
        directory = self.home / "run"
        if len(bytes(directory)) <= LONGEST_SOCKETS_DIR:
            return directory
        return Path(gettempdir()) / f"winslow-{os.getuid()}-{sha256(bytes(self.home)).hexdigest()[:16]}"

    @property
    def tables_dir(self) -> Path:
        """Tables of output files, read for looking at them."""
        return self.home / "tables"

    @property
    def dagster_home(self) -> Path:
        """Dagster's own files: dagster.yaml, event logs, compute logs."""
        return self.home / "dagster"

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the WINSLOW_* variables of `environ` (default: this process's).

        Raises SettingsInvalid with the variable, its value and what was expected.
        """
        source = os.environ if environ is None else environ
        for name, value in source.items():
            if name.startswith("WINSLOW_") and not is_utf8(value):
                raise SettingsInvalid(f"{name} is {value!r}", where="environment", expected="text in UTF-8")
        home = resolved(source.get("WINSLOW_HOME") or ".winslow")
        mode = source.get("WINSLOW_STAGE_MODE", "auto")
        if mode not in get_args(StageMode):
            raise SettingsInvalid(
                f"WINSLOW_STAGE_MODE is {mode!r}", where="environment", expected="one of auto, docker, process"
            )
        engine = source.get("WINSLOW_ENGINE") or "local"
        if engine not in get_args(EngineKind):
            raise SettingsInvalid(f"WINSLOW_ENGINE is {engine!r}", where="environment", expected="one of local, slurm")
        certificate, key = tls_files(source)
        port = source.get("WINSLOW_PORT", "3000")
        if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) <= HIGHEST_PORT:
            raise SettingsInvalid(f"WINSLOW_PORT is {port!r}", where="environment", expected="a port from 1 to 65535")
        return cls(
            home=home,
            pipelines_dir=pipelines_dir(source.get("WINSLOW_PIPELINES_DIR")),
            store_url=source.get("WINSLOW_STORE_URL", (home / "store").as_uri()),
            database_url=source.get("WINSLOW_DATABASE_URL", f"sqlite:///{home / 'winslow.db'}"),
            stage_mode=mode,
            port=int(port),
            bind=bind_address(source),
            tls_certificate=certificate,
            tls_key=key,
            allowed_hosts=hosts(source, "WINSLOW_ALLOWED_HOSTS"),
            public_url=web_address(source, "WINSLOW_PUBLIC_URL"),
            input_dirs=tuple(map(resolved, comma_separated(source, "WINSLOW_INPUT_DIRS"))),
            s3_endpoint=source.get("WINSLOW_S3_ENDPOINT"),
            run_retention_days=days(source, "WINSLOW_RUN_RETENTION_DAYS", "90"),
            trash_days=days(source, "WINSLOW_TRASH_DAYS", "30"),
            disk_warn_hours=number(source, "WINSLOW_DISK_WARN_HOURS", "24", "a number of hours, such as 24"),
            disk_warn_percent=number(source, "WINSLOW_DISK_WARN_PERCENT", "5", "a percentage, such as 5", most=100.0),
            notify_file=resolved(source.get("WINSLOW_NOTIFY_FILE") or home / "notify.yaml"),
            retention_file=resolved(source.get("WINSLOW_RETENTION_FILE") or home / "retention.yaml"),
            quotas_file=resolved(source.get("WINSLOW_QUOTAS_FILE") or home / "quotas.yaml"),
            watch_file=resolved(source.get("WINSLOW_WATCH_FILE") or home / "watch.yaml"),
            access=AccessSettings.read(source),
            queue=QueueSettings.read(source),
            node=NodeSettings(
                node_dir=resolved(source.get("WINSLOW_NODE_DIR") or home),
                node_tags=tags(source, "WINSLOW_NODE_TAGS"),
            ),
            engine=engine,
            slurm=SlurmSettings.read(source, required=engine == "slurm"),
        )


def pipelines_dir(value: str | None) -> Path:
    """The directory named by `value`; otherwise `pipeline_configs` in the working directory, or the shipped one."""
    directory = resolved(value or "pipeline_configs")
    return directory if value or directory.is_dir() else default_file("pipeline_configs")
