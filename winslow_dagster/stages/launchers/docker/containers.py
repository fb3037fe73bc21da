"""Runs stages as Docker containers.

The container's name ensures that an attempt has only one container, and its state shows a later runner how far the
attempt is. The daemon may stop and restart at any moment.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from typing_extensions import override

from winslow_dagster.errors import EngineError, ImageNotBuilt, ServiceAway, ServiceUnavailable, StageFailed
from winslow_dagster.formatting import format_time
from winslow_dagster.stages.launchers.base import ExitStatus, Launch, Signal, StageLauncher, Usage
from winslow_dagster.stages.launchers.docker.daemon_api import (
    DEFAULT_HOST,
    ConnectionFailed,
    DaemonAddress,
    DaemonApi,
    NoSuchObject,
    Query,
    RequestRefused,
)
from winslow_dagster.stages.launchers.docker.facts import ContainerRecord, exit_of, explained, uid_of, user_of
from winslow_dagster.stages.launchers.docker.log_follower import ContainerFollower
from winslow_dagster.stages.launchers.docker.log_stream import ContainerLog
from winslow_dagster.stages.launchers.docker.missing_image import how_to_copy, how_to_get
from winslow_dagster.stages.launchers.docker.permissions import open_to_user, with_content
from winslow_dagster.stages.launchers.docker.spec import (
    PLACES,
    container_config,
    container_name,
    job_node,
    ownership_config,
    ownership_name,
)
from winslow_dagster.stages.launchers.process import cgroups
from winslow_dagster.stages.log import LogWriter
from winslow_dagster.stages.task.directory import TaskDirectory, read_value, write_quickly
from winslow_dagster.stages.task.model import StageTask

Result = TypeVar("Result")

RETRY_S = 0.5
PAUSE_BEHIND_S = 10.0
UNPAUSE_BEHIND_S = 1.0


@dataclass(frozen=True, slots=True)
class DockerDaemon:
    """A Docker daemon. Safe for many threads."""

    docker_host: str
    api: DaemonApi

    @classmethod
    def connect(cls) -> DockerDaemon:
        """Connect to the daemon of DOCKER_HOST, or the default one.

        Raises ServiceAway if it may be restarting, ServiceUnavailable if there is none or its use is not permitted.
        """
        docker_host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
        address = DaemonAddress.parse(docker_host)
        try:
            address.connect().close()
            return cls(docker_host, DaemonApi(address, str(DaemonApi(address).get("/version")["ApiVersion"])))
        except FileNotFoundError:
            kind, reason, remedy = ServiceUnavailable, "no Docker daemon was found", "Install Docker and start it"
        except PermissionError:
            kind, reason = ServiceUnavailable, "permission to use Docker denied"
            remedy = "Add the user to the group docker and log in again"
        except ConnectionRefusedError:
            kind, reason, remedy = ServiceAway, "the Docker daemon is not running", "Start it: systemctl start docker"
        except (OSError, ConnectionFailed, RequestRefused) as error:
            kind, reason = ServiceAway, f"the Docker daemon does not respond: {error}"
            remedy = "Check its log: journalctl -u docker"
        raise kind(reason, where=docker_host, remedy=remedy)

    @property
    def api_version(self) -> str:
        """Such as `1.41`."""
        return self.api.version

    def image_digest(self, image: str) -> str:
        """The digest of an image on this machine; empty if it is missing."""
        try:
            return digest_of(self.api.get(f"/images/{image}/json"))
        except NoSuchObject:
            return ""

    def image_size_bytes(self, image: str) -> int | None:
        """The size of an image on this machine; None if it is missing."""
        try:
            return int(self.api.get(f"/images/{image}/json")["Size"])
        except NoSuchObject:
            return None

    def runtimes(self) -> tuple[str, ...]:
        """The names of what the daemon runs containers with, such as `runc` and `nvidia`. Raises ServiceAway."""
        try:
            return tuple(sorted(self.api.get("/info")["Runtimes"]))
        except (ConnectionFailed, RequestRefused) as error:
            raise ServiceAway(f"the Docker daemon does not respond: {error}") from error

    def containers(self, label: str) -> list[dict[str, Any]]:
        """All containers with a label, such as `winslow.home=/var/lib/winslow/tasks`, in any state."""
        filters = json.dumps({"label": [label]})
        found: list[dict[str, Any]] = self.api.get("/containers/json", {"all": "1", "filters": filters})
        return found


def digest_of(image: dict[str, Any]) -> str:
    """The name that identifies exactly this image: its digest in the registry, or its id."""
    digests: list[str] = image.get("RepoDigests") or [image["Id"]]
    return digests[0]


class DockerLauncher(StageLauncher):
    """Controls one attempt's container. `announce` gets the progress before the start, and may raise to stop it."""

    mode = "docker"
    places = PLACES

    def __init__(
        self,
        daemon: DockerDaemon,
        task: StageTask,
        directory: TaskDirectory,
        announce: Callable[[str], None],
    ) -> None:
        self._daemon = daemon
        self._api = daemon.api
        self._task = task
        self._directory = directory
        self._announce = announce
        self._record_path = directory.work / "container.json"
        self._record = read_value(self._record_path, ContainerRecord)
        self._follower = ContainerFollower()
        self._ended = threading.Event()
        self._closing = threading.Event()
        self._exit: ExitStatus | None = None
        self._outage = ""
        self._had_outage = False
        self._paused = False
        self._memory = cgroups.ContainerUsage()

    @property
    @override
    def image_digest(self) -> str | None:
        return self._record.image_digest if self._record else None

    @property
    @override
    def unenforced(self) -> tuple[str, ...]:
        return self._record.unenforced if self._record else ()

    @override
    def started(self) -> bool:
        return self._record is not None

    @override
    def start(self, launch: Launch) -> None:
        self._record, is_new = self._retried(lambda: self._create(launch))
        write_quickly(self._record_path, self._record.model_dump_json())
        if is_new:
            self._start_created()
        else:
            self.attach()

    @override
    def attach(self) -> None:
        with suppress(NoSuchObject):  # The watch will detect and report that.
            status = self._retried(self._state)["Status"]
            if status == "created":
                self._start_created()
                return
            if status == "paused":
                self._paused = True
        self._start_watch()

    @override
    def follow(self, writer: LogWriter, stop: threading.Event) -> str:
        log = ContainerLog(self._api.address, self._api.version, self._container)
        return self._follower.follow(log, writer, self._ended, stop)

    @override
    def wait(self, timeout_s: float) -> ExitStatus | None:
        self._ended.wait(timeout_s)
        return self._exit

    @override
    def send(self, signal: Signal) -> None:
        self._unpause()
        with suppress(RequestRefused):  # It has ended: 404 or 409.
            self._retried(lambda: self._do("kill", {"signal": f"SIG{signal}"}))

    @override
    def look(self) -> str:
        if self._outage or self._exit is not None:
            return self._outage or self._follower.problem
        try:
            if self._memory.unknown:
                self._memory.watch(int(self._state()["Pid"]))
            self._memory.look()
            self._keep_log_within_reach()
        except (RequestRefused, ConnectionFailed):
            return self._outage  # Either the container or the daemon has stopped: the watch will find out which.
        return "the stage is paused until its log is read" if self._paused else ""

    @override
    def usage(self) -> Usage:
        if self._exit is not None:
            return Usage()
        return Usage(self._memory.cpu_time_s(), self._memory.now_bytes())

    @override
    def chown_outputs(self) -> str:
        if self._record is None or not self._record.foreign_user:
            return ""
        if os.geteuid() == 0:
            for path, _ in (*with_content(self._directory.output), *with_content(self._directory.checkpoint)):
                os.chown(path, 0, 0)
            return ""
        owner = f"{os.getuid()}:{os.getgid()}"
        config = ownership_config(self._task, self._directory, owner)
        name = ownership_name(self._task.task_id)
        try:
            remove_for_good(self._api, name)
            container = self._create_from(config, name)["Id"]
            self._api.post(f"/containers/{container}/start")
            code = self._api.post(f"/containers/{container}/wait", timeout_s=None)["StatusCode"]
            remove_for_good(self._api, container)
        except (RequestRefused, EngineError) as error:
            return f"the outputs belong to the image's user: {error}"
        return f"the outputs belong to the image's user: chown failed with exit code {code}" if code else ""

    @override
    def remove(self) -> None:
        self._closing.set()
        names = [self._record.container_id if self._record else container_name(self._task.task_id)]
        if self._record is not None and self._record.foreign_user:
            names.append(ownership_name(self._task.task_id))
        for name in names:
            self._retried(partial(remove_for_good, self._api, name))

    @property
    def _container(self) -> str:
        if self._record is None:
            raise EngineError("no container was created", where=self._task.task_id)
        return self._record.container_id

    def _create(self, launch: Launch) -> tuple[ContainerRecord, bool]:
        """The container's record, and whether the container is new."""
        image = self._image()
        user, foreign_user = user_of(image)
        name = container_name(self._task.task_id)
        config = container_config(launch, self._directory.path.parent, user)
        try:
            container = self._new_or_existing(name, config)
        except RequestRefused as error:
            raise StageFailed(explained(error.explanation, self._task), where=f"stage {self._task.stage}") from error
        unenforced = list(container.get("Warnings") or ())
        if foreign_user and (uid := self._uid_in(image, container["Id"])) is not None:
            # Before the container can be started.
            opened = (open_to_user(path, uid) for path in (self._directory.output, self._directory.checkpoint))
            unenforced += filter(None, opened)
        record = ContainerRecord(
            container_id=container["Id"],
            image_digest=digest_of(image),
            unenforced=tuple(unenforced),
            foreign_user=foreign_user,
        )
        return record, "Warnings" in container

    def _new_or_existing(self, name: str, config: dict[str, Any]) -> dict[str, Any]:
        """The daemon's response for a new container, or the state of this attempt's container that may have run."""
        while True:
            try:
                created = self._create_from(config, name)
            except RequestRefused as error:
                if error.status != HTTPStatus.CONFLICT:
                    raise
                try:
                    found: dict[str, Any] = self._api.get(f"/containers/{name}/json")
                except NoSuchObject:
                    # The request of a runner that was killed is still being carried out, or it is being removed.
                    self._closing.wait(RETRY_S)
                    continue
                if found["Config"]["Labels"].get("winslow.task") != self._task.task_id:
                    raise StageFailed(
                        f"another container is named {name}", remedy=f"Remove it: docker rm {name}"
                    ) from error
                if found["State"]["Status"] != "created":
                    return found
                # A runner died before it recorded this container, so it was never started; it may have other GPUs.
                remove_for_good(self._api, name)
            else:
                return created

    def _create_from(self, config: dict[str, Any], name: str) -> dict[str, Any]:
        created: dict[str, Any] = self._api.post("/containers/create", {"name": name}, config)
        return created

    def _image(self) -> dict[str, Any]:
        """The image's metadata; pulls the image if it is missing. Raises StageFailed."""
        image = self._task.image or ""
        with suppress(NoSuchObject):
            found: dict[str, Any] = self._api.get(f"/images/{image}/json")
            return found
        from winslow_dagster.stages.launchers.docker.images import pull

        try:
            pull(self._daemon, image, self._announce)
        except ImageNotBuilt as error:
            node = job_node()
            raise StageFailed(
                f"the image {image} is not on {node or 'this machine'} and cannot be pulled: {error.what}",
                where=f"stage {self._task.stage}",
                remedy=f"{how_to_copy(image, node) if node else how_to_get(image)}; then redo the stage",
            ) from error
        pulled: dict[str, Any] = self._api.get(f"/images/{image}/json")
        return pulled

    def _uid_in(self, image: dict[str, Any], container: str) -> int | None:
        """The number of the image's user; None if the image does not know it, which Docker reports at the start."""
        user = str(image["Config"]["User"]).partition(":")[0]
        if user.isdigit():
            return int(user)
        try:
            archive = self._api.request("GET", f"/containers/{container}/archive", {"path": "/etc/passwd"})
        except NoSuchObject:
            return None
        return uid_of(user, archive)

    def _start_created(self) -> None:
        """Start a container that was never started."""
        try:
            self._do("start")
        except ConnectionFailed:
            self._note_outage()
            self.attach()  # It may have started, and must not start again.
            return
        except RequestRefused as error:
            self._finish(ExitStatus(ended_at=datetime.now(UTC), failure=explained(error.explanation, self._task)))
            return
        self._start_watch()

    def _start_watch(self) -> None:
        threading.Thread(target=self._watch, name="container-watch", daemon=True).start()

    def _watch(self) -> None:
        """Wait for the container's end, through restarts of the daemon."""
        while self._exit is None and not self._closing.is_set():
            try:
                if self._outage:
                    self._api.request("GET", "/_ping")
                    self._outage = ""
                self._api.post(f"/containers/{self._container}/wait", timeout_s=None)
                state = self._state()
                if state["Status"] in {"exited", "dead"}:
                    self._finish(exit_of(state, had_outage=self._had_outage, peak_memory_bytes=self._memory.peak_bytes))
            except NoSuchObject:
                reason = "its container was removed from outside Winslow"
                self._finish(ExitStatus(ended_at=datetime.now(UTC), lost=reason))
            except (RequestRefused, ConnectionFailed):
                self._note_outage()
                self._closing.wait(RETRY_S)

    def _finish(self, exit_status: ExitStatus) -> None:
        self._exit = exit_status
        self._ended.set()

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = self._api.get(f"/containers/{self._container}/json")["State"]
        return state

    def _do(self, verb: str, query: Query | None = None) -> None:
        """Have the daemon do something with the container."""
        self._api.post(f"/containers/{self._container}/{verb}", query)

    def _retried(self, call: Callable[[], Result]) -> Result:
        """Call the daemon, again after each outage. Only for idempotent requests."""
        while True:
            try:
                result = call()
            except ConnectionFailed:
                self._note_outage()
                self._announce(self._outage)
                self._closing.wait(RETRY_S)
            else:
                self._outage = ""
                return result

    def _note_outage(self) -> None:
        self._had_outage = True
        if not self._outage:
            since = datetime.now(UTC)
            self._outage = (
                f"the Docker daemon has not responded since {format_time(since)}; the stage continues when it is back"
            )

    def _keep_log_within_reach(self) -> None:
        """Pause a stage that writes faster than its log is read, before Docker drops lines."""
        if self._paused and self._follower.behind_s < UNPAUSE_BEHIND_S:
            self._unpause()
        elif not self._paused and self._follower.caught_up and self._follower.behind_s > PAUSE_BEHIND_S:
            self._do("pause")
            self._paused = True

    def _unpause(self) -> None:
        if self._paused:
            with suppress(RequestRefused):
                self._retried(lambda: self._do("unpause"))
            self._paused = False


def container_is_alive(task_id: str) -> bool:
    """Whether the attempt's container may be running; True if the daemon does not respond."""
    try:
        found = DockerDaemon.connect().api.get(f"/containers/{container_name(task_id)}/json")
    except NoSuchObject:
        return False
    except (ServiceUnavailable, RequestRefused, ConnectionFailed):
        return True
    return found["State"]["Status"] not in {"exited", "dead"}


def remove_for_good(api: DaemonApi, container: str) -> None:
    """Remove a container in any state, and wait until it is gone. Raises EngineError, ConnectionFailed."""
    while True:
        try:
            api.request("DELETE", f"/containers/{container}", {"v": "1", "force": "1"})
        except NoSuchObject:
            return
        except RequestRefused as error:
            if error.status != HTTPStatus.CONFLICT:
                raise EngineError(f"the container cannot be removed: {error.explanation}", where=container) from error
            time.sleep(RETRY_S / 10)  # Another client is removing it; Docker offers no way to wait for that.
        else:
            return
