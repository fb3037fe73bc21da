"""WINSLOW_* settings, read once: what the control plane needs (`Settings`) and what a node needs (`NodeSettings`)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from ipaddress import ip_address, ip_network
from math import inf
from pathlib import Path
from tempfile import gettempdir
from typing import Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from winslow_dagster.defaults import default_file
from winslow_dagster.errors import SettingsInvalid
from winslow_dagster.formatting import is_utf8
from winslow_dagster.hosts import canonical_host, is_loopback, split_authority
from winslow_dagster.paths import resolved

StageMode = Literal["auto", "docker", "process"]
EngineKind = Literal["local", "slurm"]
Role = Literal["viewer", "operator", "admin"]
ShareBy = Literal["owner", "project", "none"]
SHARE_BY: tuple[ShareBy, ...] = get_args(ShareBy)
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may do everything that those before it may: see; act on projects; manage people and the installation."""
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared, not listened on
"""Addresses that stand for all of this machine's, and the one of them by which programs of this machine connect."""
HIGHEST_PORT = 65535
LONGEST_SOCKETS_DIR = 80
NODE_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class NodeSettings(BaseModel):
    """What a node needs to run stages. A stage runner receives it together with its task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    node_dir: Path = Field(
        description="The node's directory for task directories, cached inputs and GPU leases. Must be one file system."
    )
    node_tags: tuple[str, ...] = Field(
        default=(),
        description="Tags of this node, separated by commas. A stage with `node_tags` runs only on a node that has all "
        "of them.",
    )

    @property
    def tasks_dir(self) -> Path:
        """One directory per stage attempt."""
        return self.node_dir / "tasks"

    @property
    def cache_dir(self) -> Path:
        """The content-addressed cache of inputs."""
        return self.node_dir / "cache"

    @property
    def gpus_dir(self) -> Path:
        """GPU leases, and the queue for them."""
        return self.node_dir / "gpus"


class SlurmSettings(BaseModel):
    """How stages run on a Slurm cluster, with `WINSLOW_ENGINE=slurm`."""

    model_config = ConfigDict(frozen=True)

    control_plane_url: str = Field(
        default="",
        description="URL by which the nodes of a cluster reach the web server, such as https://winslow.example.org.",
    )
    control_plane_ca_file: Path | None = Field(
        default=None,
        description="PEM file of the authority of the web server's certificate, for nodes that do not know it.",
    )
    slurm_partition: str = Field(
        default="", description="Slurm partition in which stages run; by default Slurm's default one."
    )
    slurm_node_file: str = Field(
        default="/etc/winslow/node.toml",
        description="Path on each node of the file that it got when it joined; `{node}` stands for the node's name.",
    )

    def variables(self) -> dict[str, str]:
        """These settings as environment variables."""
        return {f"WINSLOW_{name.upper()}": str(value or "") for name, value in self}

    @classmethod
    def read(cls, source: Mapping[str, str], *, required: bool) -> SlurmSettings:
        """Read the variables; those without a default must be set if `required`. Raises SettingsInvalid."""
        url = web_address(source, "WINSLOW_CONTROL_PLANE_URL")
        if required and not url:
            raise SettingsInvalid(
                "WINSLOW_CONTROL_PLANE_URL is not set",
                where="environment",
                expected="the URL by which the nodes of the cluster reach this web server, as WINSLOW_ENGINE is slurm",
            )
        ca_file = source.get("WINSLOW_CONTROL_PLANE_CA_FILE")
        texts = _given(source, "slurm_partition", "slurm_node_file")
        return cls(control_plane_url=url, control_plane_ca_file=resolved(ca_file) if ca_file else None, **texts)


class AccessSettings(BaseModel):
    """How people log in to the web interface, beside passwords and links."""

    model_config = ConfigDict(frozen=True)

    session_days: float = Field(
        default=30, description="Days after its last use that a browser is logged out of the web interface."
    )
    role_names: dict[str, Role] = Field(
        default={},
        description="What a provider or a proxy calls the roles: `name=role`, separated by commas, such as "
        "`staff=operator,lab-heads=admin`. Without it, it has to call them `viewer`, `operator` and `admin`.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        description="Addresses and networks, separated by commas, of proxies whose `X-Forwarded-For`, "
        "`X-Forwarded-Proto` and user headers are believed.",
    )
    proxy_user_header: str = Field(
        default="", description="Header in which a trusted proxy names the person, such as `X-Remote-User`."
    )
    proxy_role_header: str = Field(
        default="", description="Header in which a trusted proxy names the person's roles, separated by commas."
    )
    oidc_issuer: str = Field(default="", description="URL of an OpenID provider through which people log in.")
    oidc_client_id: str = Field(default="", description="The name by which the OpenID provider knows Winslow.")
    oidc_client_secret_file: Path | None = Field(
        default=None, description="File with the secret that the OpenID provider gave to Winslow."
    )
    oidc_scopes: str = Field(
        default="openid profile", description="What is asked of the OpenID provider, separated by spaces."
    )
    oidc_name_claim: str = Field(
        default="preferred_username", description="Claim from which a new person's name is taken."
    )
    oidc_role_claim: str = Field(
        default="",
        description="Claim with the person's roles, such as `groups`. Without it, new people are viewers, and "
        "administrators give them other roles.",
    )

    @property
    def by_provider(self) -> bool:
        """Whether people log in through an OpenID provider."""
        return bool(self.oidc_issuer)

    @property
    def by_proxy(self) -> bool:
        """Whether a proxy logs people in."""
        return bool(self.trusted_proxies and self.proxy_user_header)

    def role_of(self, names: Iterable[str]) -> Role | None:
        """The highest role that these names mean; None if they mean none."""
        known: dict[str, Role] = self.role_names or {role: role for role in ROLES}
        found = [known[name] for name in names if name in known]
        return max(found, key=ROLES.index, default=None)

    def variables(self) -> dict[str, str]:
        """These settings as environment variables."""
        texts = {
            "session_days": str(self.session_days),
            "role_names": ",".join(f"{name}={role}" for name, role in self.role_names.items()),
            "trusted_proxies": ",".join(self.trusted_proxies),
            "oidc_client_secret_file": str(self.oidc_client_secret_file or ""),
        }
        return {f"WINSLOW_{name.upper()}": texts.get(name, str(value)) for name, value in self}

    @classmethod
    def read(cls, source: Mapping[str, str]) -> AccessSettings:
        """Read the variables. Raises SettingsInvalid."""
        issuer = source.get("WINSLOW_OIDC_ISSUER", "").rstrip("/")
        if issuer and not is_safe_issuer(issuer):
            raise SettingsInvalid(
                f"WINSLOW_OIDC_ISSUER is {issuer!r}",
                where="environment",
                expected="an https:// address; http:// only of this machine",
            )
        client = source.get("WINSLOW_OIDC_CLIENT_ID", "")
        if issuer and not client:
            raise SettingsInvalid(
                "WINSLOW_OIDC_CLIENT_ID is not set",
                where="environment",
                expected="the name by which the OpenID provider knows Winslow",
            )
        secret = source.get("WINSLOW_OIDC_CLIENT_SECRET_FILE")
        texts = _given(
            source, "proxy_user_header", "proxy_role_header", "oidc_scopes", "oidc_name_claim", "oidc_role_claim"
        )
        return cls(
            session_days=days(source, "WINSLOW_SESSION_DAYS", "30", least=1.0),
            role_names=role_names(source, "WINSLOW_ROLE_NAMES"),
            trusted_proxies=networks(source, "WINSLOW_TRUSTED_PROXIES"),
            oidc_issuer=issuer,
            oidc_client_id=client,
            oidc_client_secret_file=resolved(secret) if secret else None,
            **texts,
        )


class QueueSettings(BaseModel):
    """How the run queue is shared."""

    model_config = ConfigDict(frozen=True)

    queue_share_by: ShareBy = Field(
        default="owner",
        description="Who takes turns in the run queue within a priority: `owner` (of projects), `project`, or `none`: "
        "first come, first served.",
    )
    queue_weights: dict[str, float] = Field(
        default={},
        description="Weights of owners or projects in the run queue: `name=weight`, separated by commas, such as "
        "`anna=2,students=0.5`. A weight of 2 has twice as many places as one of 1, which is the default.",
    )

    def variables(self) -> dict[str, str]:
        """These settings as environment variables."""
        weights = ",".join(f"{name}={weight!r}" for name, weight in self.queue_weights.items())
        return {"WINSLOW_QUEUE_SHARE_BY": self.queue_share_by, "WINSLOW_QUEUE_WEIGHTS": weights}

    @classmethod
    def read(cls, source: Mapping[str, str]) -> QueueSettings:
        """Read the variables. Raises SettingsInvalid."""
        text = source.get("WINSLOW_QUEUE_SHARE_BY") or "owner"
        by = next((each for each in SHARE_BY if each == text), None)
        if by is None:
            raise SettingsInvalid(
                f"WINSLOW_QUEUE_SHARE_BY is {text!r}", where="environment", expected=f"one of {', '.join(SHARE_BY)}"
            )
        return cls(queue_share_by=by, queue_weights=weights(source, "WINSLOW_QUEUE_WEIGHTS"))


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


def days(source: Mapping[str, str], name: str, default: str, least: float = 0.0) -> float:
    """A number of days. Raises SettingsInvalid."""
    text = source.get(name, default)
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not least <= number < inf:
        expected = "a number of days, such as 90" if least <= 0 else f"a number of days, at least {least:g}"
        raise SettingsInvalid(f"{name} is {text!r}", where="environment", expected=expected)
    return number


def number(source: Mapping[str, str], name: str, default: str, expected: str, most: float = inf) -> float:
    """A number that is not negative. Raises SettingsInvalid."""
    text = source.get(name, default)
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= most or found == inf:
        raise SettingsInvalid(f"{name} is {text!r}", where="environment", expected=expected)
    return found


def bind_address(source: Mapping[str, str]) -> str:
    """The address to listen on, in its shortest form. Raises SettingsInvalid."""
    text = source.get("WINSLOW_BIND") or "127.0.0.1"
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise SettingsInvalid(
            f"WINSLOW_BIND is {text!r}",
            where="environment",
            expected="an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all",
        ) from error


def tls_files(source: Mapping[str, str]) -> tuple[Path | None, Path | None]:
    """Certificate and key, or neither. Raises SettingsInvalid if there is only one of them."""
    files = {name: source.get(name) for name in ("WINSLOW_TLS_CERTIFICATE", "WINSLOW_TLS_KEY")}
    missing = [name for name, value in files.items() if not value]
    if len(missing) == 1:
        raise SettingsInvalid(
            f"{missing[0]} is not set",
            where="environment",
            expected="both WINSLOW_TLS_CERTIFICATE and WINSLOW_TLS_KEY, or neither",
        )
    certificate, key = (resolved(value) if value else None for value in files.values())
    return certificate, key


def tags(source: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The node tags in a comma-separated list, each once. Raises SettingsInvalid."""
    found = comma_separated(source, name)
    for tag in found:
        if not NODE_TAG.fullmatch(tag):
            raise SettingsInvalid(
                f"{name} contains {tag!r}",
                where="environment",
                expected="tags separated by commas, made of letters, digits, `_`, `.` and `-`",
            )
    return found


def is_safe_issuer(issuer: str) -> bool:
    """Whether what the provider sends cannot be changed on its way."""
    parts = urlsplit(issuer)
    host = canonical_host(parts.hostname or "")
    return host is not None and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))


def networks(source: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The addresses and networks in a comma-separated list. Raises SettingsInvalid."""
    found = comma_separated(source, name)
    for text in found:
        try:
            ip_network(text)
        except ValueError as error:
            raise SettingsInvalid(
                f"{name} contains {text!r}",
                where="environment",
                expected="addresses or networks separated by commas, such as 10.0.0.5 or 10.0.0.0/24",
            ) from error
    return found


def role_names(source: Mapping[str, str], name: str) -> dict[str, Role]:
    """The roles in a comma-separated list of `name=role`. Raises SettingsInvalid."""
    found: dict[str, Role] = {}
    for text in comma_separated(source, name):
        key, _, value = text.rpartition("=")
        role = next((each for each in ROLES if each == value.strip()), None)
        if role is None or not key.strip():
            raise SettingsInvalid(
                f"{name} contains {text!r}",
                where="environment",
                expected=f"name=role separated by commas, with one of the roles {', '.join(ROLES)}",
            )
        found[key.strip()] = role
    return found


def weights(source: Mapping[str, str], name: str) -> dict[str, float]:
    """The weights in a comma-separated list of `name=weight`. Raises SettingsInvalid."""
    found: dict[str, float] = {}
    for text in comma_separated(source, name):
        key, _, value = text.rpartition("=")
        try:
            weight = float(value)
        except ValueError:
            weight = 0.0
        if not key.strip() or not 0 < weight < inf:
            raise SettingsInvalid(
                f"{name} contains {text!r}",
                where="environment",
                expected="name=weight separated by commas, with weights greater than 0, such as anna=2",
            )
        found[key.strip()] = weight
    return found


def hosts(source: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The hosts in a comma-separated list, in one spelling. Raises SettingsInvalid."""
    found = []
    for text in comma_separated(source, name):
        host = canonical_host(text)
        if host is None:
            raise SettingsInvalid(
                f"{name} contains {text!r}",
                where="environment",
                expected="host names or addresses separated by commas, without scheme and port",
            )
        found.append(host)
    return tuple(dict.fromkeys(found))


def web_address(source: Mapping[str, str], name: str) -> str:
    """An address of the web server, without a slash at its end. Raises SettingsInvalid."""
    text = source.get(name, "").removesuffix("/")
    found = re.fullmatch(r"https?://([^/?#@\s]+)", text)
    if text and (found is None or split_authority(found[1]) is None):
        raise SettingsInvalid(
            f"{name} is {text!r}",
            where="environment",
            expected="http:// or https:// and a host, with a port if necessary, and without a path",
        )
    return text


def comma_separated(source: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The parts of a comma-separated list, each once."""
    return tuple(dict.fromkeys(filter(None, (part.strip() for part in source.get(name, "").split(",")))))


def pipelines_dir(value: str | None) -> Path:
    """The directory named by `value`; otherwise `pipeline_configs` in the working directory, or the shipped one."""
    directory = resolved(value or "pipeline_configs")
    return directory if value or directory.is_dir() else default_file("pipeline_configs")


def _given(source: Mapping[str, str], *names: str) -> dict[str, str]:
    """The texts of those settings that are set and not empty."""
    values = {name: source.get(f"WINSLOW_{name.upper()}") for name in names}
    return {name: value for name, value in values.items() if value}
