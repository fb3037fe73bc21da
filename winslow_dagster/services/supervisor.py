"""Starts the services, restarts those that die, and ends them together.

The services die with their supervisor (by a parent-death signal), so that a killed `winslow up` leaves nothing that
holds its port or its database. Run workers and stage runners are not services: they are detached and outlive these.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import secrets
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from winslow_dagster.engines.fork_server import code_on_disk, preload
from winslow_dagster.engines.spawn import ProcessIdentity, boot_id
from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.locks import take
from winslow_dagster.privacy import hide_environment
from winslow_dagster.projects.dagster_api.connection import dagster_client
from winslow_dagster.projects.dagster_api.credential import write_key
from winslow_dagster.projects.dagster_api.serving import lock_file, state_file
from winslow_dagster.services.forks import ServiceProcess, start
from winslow_dagster.services.instance import code_socket, installation_id, private_directory, write_instance
from winslow_dagster.services.listening import listening_socket, require_reachable_safely
from winslow_dagster.services.readiness import Report, StartReports, log_of, read_state
from winslow_dagster.services.socket_probe import listens
from winslow_dagster.settings import Settings

MIN_RESTART_INTERVAL_S = 5.0
"""Minimum time between two starts of a service, so that one that keeps dying does not restart in a tight loop."""
GRACE_S = 10.0
POLL_S = 0.1
READY_TIMEOUT_S = 10.0
"""How long one look at the web server may take."""

FORK_SERVER = "winslow_dagster.engines.fork_server"
DATABASE = "the database"
PREDECESSORS = "the services of a supervisor that was killed to end"
CODE_SERVER = "the code server"
DAGSTER = ("dagster._cli", "dagster._daemon.controller", "dagster._grpc.server", "winslow_dagster.services.preload")
"""What several services, and run workers, import of Dagster, and of Winslow with it."""


@dataclass(frozen=True, slots=True)
class Service:
    """One supervised process, which runs a module."""

    name: str
    module: str
    args: tuple[str, ...] = ()
    after: Path | None = None
    """A socket that must accept connections before this service starts."""
    preload: tuple[str, ...] = ()
    """What the supervisor imports before it forks this service and those that come after it."""


def services_of(settings: Settings) -> tuple[Service, ...]:
    """All services, in starting order: that of stage runners, whose forks are many, comes before Dagster is loaded."""
    # Imported here: checking whether the services are running does not need it.
    from winslow_dagster.stages.runner import service as stage_runner

    sockets = settings.sockets_dir
    code = code_socket(settings)
    runner = (stage_runner.__name__, *stage_runner.PRELOAD)
    workspace = str(settings.dagster_home / "workspace.yaml")
    return (
        Service(
            "runner-fork-server",
            FORK_SERVER,
            ("--socket", str(sockets / "runners.sock"), *_preloads(runner)),
            preload=runner,
        ),
        Service("code-server", "winslow_dagster.services.code_server", preload=DAGSTER),
        Service("web-server", "winslow_dagster.console", after=code),
        Service("daemon", "winslow_dagster.services.daemon", (workspace,), after=code),
        Service(
            "worker-fork-server",
            FORK_SERVER,
            ("--socket", str(sockets / "workers.sock"), *_preloads(DAGSTER)),
        ),
    )


def _preloads(modules: tuple[str, ...]) -> Iterator[str]:
    for module in modules:
        yield from ("--preload", module)


class Supervisor:
    """`serve` returns after TERM or INT, when all services have ended."""

    def __init__(self, settings: Settings, report: Report = lambda _text: None) -> None:
        """`report` is called with a line for people while a start lasts, and when a service exits."""
        self._settings = settings
        self._report = report
        self._children: dict[str, ServiceProcess] = {}
        self._predecessors: tuple[ProcessIdentity, ...] = ()
        self._exits: dict[str, int] = {}
        self._awaits: str | None = None
        self._certificate: str | None = None
        self._started_at: dict[str, float] = {}
        self._wall_started_at: dict[str, str] = {}
        self._stopping = False
        self._code: dict[str, tuple[int, int]] | None = None
        """The code on disk as it was when it was imported here."""

    def serve(self, on_ready: Callable[[str], None] = lambda _address: None) -> None:
        """Run the services; calls `on_ready` with their address once they answer.

        Raises ServiceUnavailable if another supervisor runs the services of this home, or the port is in use.
        """
        hide_environment()
        with self._only_one(), selectors.DefaultSelector() as wakes:
            require_reachable_safely(self._settings)
            self._await_predecessors()
            _require_free(self._settings)
            reports = StartReports(self._report)
            self._await(DATABASE)
            os.environ.update(service_environment(self._settings))
            write_instance(self._settings)
            write_key(self._settings, secrets.token_urlsafe())
            installation = installation_id(self._settings)
            reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            wakes.register(reader, selectors.EVENT_READ)
            signal.set_wakeup_fd(writer)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._stop)
            signal.signal(signal.SIGCHLD, lambda *_: None)
            ready = False
            try:
                while not self._stopping:
                    pause_s = self._start_missing()
                    if not ready:
                        awaited = self._awaited(installation, pause_s)
                        self._await(awaited)
                        ready = awaited is None
                        if awaited is None:
                            on_ready(self._settings.address)
                        else:
                            reports.waiting_for(awaited)
                    if wakes.select(pause_s if ready else POLL_S):
                        with contextlib.suppress(BlockingIOError):
                            os.read(reader, 4096)
            finally:
                self._end_all()
                signal.set_wakeup_fd(-1)
                os.close(reader)
                os.close(writer)

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _awaited(self, installation: str, pause_s: float | None) -> str | None:
        """What the start waits for now. None if the services are ready."""
        if not listens(code_socket(self._settings)):
            return CODE_SERVER
        # Made anew each time: the certificate to trust is that with which the web server has started.
        dagster = dagster_client(self._settings, installation, timeout_s=READY_TIMEOUT_S)
        if pause_s is not None or not dagster.pipelines_loaded():
            return "the web server to load the pipelines"
        try:
            dagster.skip_welcome()
        except ServiceUnavailable:
            return "the web server to answer in time"
        return None

    def _await_predecessors(self) -> None:
        """Wait until the services of a supervisor that was killed have ended, as they do by themselves.

        Until then they have the port, and as they end they remove their sockets: ours would have the same names.
        """
        state = read_state(self._settings)
        if state.get("boot_id") == boot_id():
            self._predecessors = tuple(ProcessIdentity(**each) for each in state["processes"])
        self._await(PREDECESSORS)
        until_s = time.monotonic() + GRACE_S
        for process in self._predecessors:
            while process.alive():
                if time.monotonic() > until_s:
                    process.kill()
                time.sleep(POLL_S)
        self._predecessors = ()

    def _await(self, awaited: str | None) -> None:
        if awaited != self._awaits:
            self._awaits = awaited
            self._write_state()

    def _start_missing(self) -> float | None:
        """Start services that are not running. Returns the seconds until the next check; None: at the next signal."""
        pauses_s = []
        for service in services_of(self._settings):
            child = self._children.get(service.name)
            if child is not None and not child.has_ended():
                continue
            if child is not None:
                self._note_exit(service, child)
            age_s = time.monotonic() - self._started_at.get(service.name, -MIN_RESTART_INTERVAL_S)
            if age_s < MIN_RESTART_INTERVAL_S:
                pauses_s.append(MIN_RESTART_INTERVAL_S - age_s)
            elif service.after is not None and not listens(service.after):
                pauses_s.append(POLL_S)
            else:
                self._start(service)
        return min(pauses_s, default=None)

    def _note_exit(self, service: Service, child: ServiceProcess) -> None:
        del self._children[service.name]
        self._exits[service.name] = self._exits.get(service.name, 0) + 1
        self._write_state()
        ended, log = exit_text(child.return_code or 0), log_of(self._settings, service.name)
        self._report(f"the {service.name} exited ({ended}) and is started again; log: {log}")

    def _start(self, service: Service) -> None:
        if self._settings.tls_certificate is not None:
            # A web server that starts again uses the file as it is then. If it cannot be read, its log says so.
            with contextlib.suppress(OSError):
                self._certificate = self._settings.tls_certificate.read_text()
        changed = self._code is not None and self._code != code_on_disk()
        if not changed:
            preload(service.preload)
            # What is imported is never freed: garbage collection would only copy its pages in every service.
            gc.collect()
            gc.freeze()
            self._code = code_on_disk()
        self._children[service.name] = start(
            service.module,
            service.args,
            home=self._settings.home,
            log_file=log_of(self._settings, service.name),
            new_interpreter=changed,
        )
        self._started_at[service.name] = time.monotonic()
        self._wall_started_at[service.name] = datetime.now(UTC).isoformat()
        if service.name == "code-server" and self._awaits == DATABASE:
            # What was imported for it has opened the database.
            self._awaits = CODE_SERVER
        self._write_state()

    def _write_state(self) -> None:
        running = (ProcessIdentity.of(child.pid) for child in self._children.values())
        state = {
            "pid": os.getpid(),
            "boot_id": boot_id(),
            "address": self._settings.address,
            "certificate": self._certificate,
            "services": {name: child.pid for name, child in self._children.items()},
            "processes": [asdict(each) for each in (*self._predecessors, *running)],
            "started_at": {name: self._wall_started_at[name] for name in self._children},
            "exits": self._exits,
            "awaits": self._awaits,
        }
        target = state_file(self._settings)
        fresh = target.with_suffix(".new")
        fresh.write_text(json.dumps(state))
        fresh.replace(target)

    def _end_all(self) -> None:
        for child in self._children.values():
            child.send(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S
        for child in self._children.values():
            if not child.ends_within(max(0.0, deadline - time.monotonic())):
                child.send(signal.SIGKILL)
                child.ends_within(GRACE_S)

    @contextlib.contextmanager
    def _only_one(self) -> Iterator[None]:
        self._settings.home.mkdir(parents=True, exist_ok=True)
        private_directory(self._settings.sockets_dir)
        with lock_file(self._settings).open("a") as lock:
            if not take(lock.fileno()):
                raise ServiceUnavailable(
                    "the services of this home are already running",
                    where=str(self._settings.home),
                    remedy="Use them, or stop them first",
                )
            try:
                yield
            finally:
                state_file(self._settings).unlink(missing_ok=True)


def exit_text(return_code: int) -> str:
    """An exit code as subprocess reports it, in words."""
    return f"exit code {return_code}" if return_code >= 0 else f"{signal.strsignal(-return_code)}"


def appended_to(log_file: Path) -> BinaryIO:
    """The log file, which only its owner may read: it may quote an address with a password."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    return os.fdopen(os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), "ab")


def service_environment(settings: Settings) -> dict[str, str]:
    """The environment of the services, with all settings explicit, so that none depends on the working directory."""
    environment = {
        **os.environ,
        "PYTHONUTF8": "1",
        "DAGSTER_HOME": str(settings.dagster_home),
        "WINSLOW_HOME": str(settings.home),
        "WINSLOW_PIPELINES_DIR": str(settings.pipelines_dir),
        "WINSLOW_STORE_URL": settings.store_url,
        "WINSLOW_DATABASE_URL": settings.database_url,
        "WINSLOW_STAGE_MODE": settings.stage_mode,
        "WINSLOW_PORT": str(settings.port),
        "WINSLOW_BIND": settings.bind,
        "WINSLOW_ALLOWED_HOSTS": ",".join(settings.allowed_hosts),
        "WINSLOW_PUBLIC_URL": settings.public_url,
        **settings.access.variables(),
        "WINSLOW_ENGINE": settings.engine,
        **settings.slurm.variables(),
        **settings.queue.variables(),
        "WINSLOW_INPUT_DIRS": ",".join(map(str, settings.input_dirs)),
        "WINSLOW_WATCH_FILE": str(settings.watch_file),
        "WINSLOW_RETENTION_FILE": str(settings.retention_file),
        "WINSLOW_QUOTAS_FILE": str(settings.quotas_file),
        "WINSLOW_NOTIFY_FILE": str(settings.notify_file),
        "WINSLOW_RUN_RETENTION_DAYS": str(settings.run_retention_days),
        "WINSLOW_TRASH_DAYS": str(settings.trash_days),
        "WINSLOW_DISK_WARN_HOURS": str(settings.disk_warn_hours),
        "WINSLOW_DISK_WARN_PERCENT": str(settings.disk_warn_percent),
        "WINSLOW_NODE_DIR": str(settings.node.node_dir),
        "WINSLOW_NODE_TAGS": ",".join(settings.node.node_tags),
    }
    # Stages that run as processes find their programs, such as `tracker`, where Winslow is installed.
    environment["PATH"] = os.pathsep.join(
        dict.fromkeys([str(Path(sys.executable).parent), *os.environ.get("PATH", os.defpath).split(os.pathsep)])
    )
    if settings.tls_certificate and settings.tls_key:
        environment["WINSLOW_TLS_CERTIFICATE"] = str(settings.tls_certificate)
        environment["WINSLOW_TLS_KEY"] = str(settings.tls_key)
    if settings.s3_endpoint:
        environment["WINSLOW_S3_ENDPOINT"] = settings.s3_endpoint
    return environment


def _require_free(settings: Settings) -> None:
    try:
        listening_socket(settings).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ServiceUnavailable(
                f"port {settings.port} is in use", where=settings.bind, remedy="Choose another with WINSLOW_PORT"
            ) from error
        raise ServiceUnavailable(
            f"it is impossible to listen there: {error.strerror}",
            where=f"{settings.bind}, port {settings.port}",
            remedy="Set WINSLOW_BIND to an address of this machine, or to 0.0.0.0 for all",
        ) from error
