"""Runs stages as Docker containers. The only module that uses the Docker SDK.

The container's name ensures that an attempt has only one container, and its state shows a later runner how far the
attempt is. The daemon may stop and restart at any moment.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import IO, Any, TypeVar

import docker
import docker.errors
import docker.utils
import requests
import urllib3
from typing_extensions import override

from winslow_dagster.errors import EngineError, ImageNotBuilt, ServiceAway, ServiceUnavailable, StageFailed
from winslow_dagster.formatting import format_time
from winslow_dagster.stages.launchers.base import ExitStatus, Launch, Signal, StageLauncher, Usage
from winslow_dagster.stages.launchers.docker.facts import ContainerRecord, exit_of, explained, uid_of, user_of
from winslow_dagster.stages.launchers.docker.log_follower import ContainerFollower
from winslow_dagster.stages.launchers.docker.log_stream import ContainerLog, DaemonAddress
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

REQUEST_TIMEOUT_S = 600
"""Starting a container on a busy machine may take minutes."""
RETRY_S = 0.5
CONNECTION_LOST = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,  # A truncated response.
    requests.exceptions.InvalidJSONError,
    urllib3.exceptions.HTTPError,
)
"""What the SDK raises when the connection is lost. Its APIError is a response of the daemon and not among these."""
PAUSE_BEHIND_S = 10.0
UNPAUSE_BEHIND_S = 1.0


class DockerDaemon:
    """A Docker daemon. Each thread needs its own `client`: those of the SDK are not thread-safe."""

    def __init__(self, docker_host: str, address: DaemonAddress, api_version: str) -> None:
        self._docker_host = docker_host
        self.address = address
        self.api_version = api_version

    @classmethod
    def connect(cls) -> DockerDaemon:
        """Connect to the daemon of DOCKER_HOST, or the default one.

        Raises ServiceAway if it may be restarting, ServiceUnavailable if there is none or its use is not permitted.
        """
        docker_host = str(docker.utils.parse_host(os.environ.get("DOCKER_HOST") or None))
        address = DaemonAddress.parse(docker_host)
        try:
            address.connect().close()
            with docker.APIClient(docker_host, version="auto") as api:
                return cls(docker_host, address, str(api.api_version))
        except FileNotFoundError:
            kind, reason, remedy = ServiceUnavailable, "no Docker daemon was found", "Install Docker and start it"
        except PermissionError:
            kind, reason = ServiceUnavailable, "permission to use Docker denied"
            remedy = "Add the user to the group docker and log in again"
        except ConnectionRefusedError:
            kind, reason, remedy = ServiceAway, "the Docker daemon is not running", "Start it: systemctl start docker"
        except (OSError, docker.errors.DockerException) as error:
            kind, reason = ServiceAway, f"the Docker daemon does not respond: {error}"
            remedy = "Check its log: journalctl -u docker"
        raise kind(reason, where=docker_host.removeprefix("http+"), remedy=remedy)

    def client(self) -> docker.APIClient:
        """A new client. Needs no round trip to the daemon."""
        return docker.APIClient(self._docker_host, version=self.api_version, timeout=REQUEST_TIMEOUT_S)

    def image_digest(self, image: str) -> str:
        """The digest of an image on this machine; empty if it is missing."""
        try:
            return digest_of(self.client().inspect_image(image))  # type: ignore[no-untyped-call]  # the stubs' omission
        except docker.errors.ImageNotFound:
            return ""

    def image_size_bytes(self, image: str) -> int | None:
        """The size of an image on this machine; None if it is missing."""
        try:
            return int(self.client().inspect_image(image)["Size"])  # type: ignore[no-untyped-call]  # as above
        except docker.errors.ImageNotFound:
            return None

    def runtimes(self) -> tuple[str, ...]:
        """The names of what the daemon runs containers with, such as `runc` and `nvidia`. Raises ServiceAway."""
        try:
            with self.client() as api:
                return tuple(sorted(api.info()["Runtimes"]))
        except (*CONNECTION_LOST, docker.errors.DockerException) as error:
            raise ServiceAway(f"the Docker daemon does not respond: {error}") from error

    def pull(self, image: str, announce: Callable[[str], None]) -> None:
        """Pull an image from its registry. Raises ImageNotBuilt with the message of the daemon or the registry."""
        announce(f"pulling the image {image}")
        try:
            for line in self.client().pull(image, stream=True, decode=True):
                if "error" in line:
                    raise ImageNotBuilt(str(line["error"]))
                announce(f"pulling the image {image}: {line.get('status', '')} {line.get('progress', '')}".strip())
        except docker.errors.APIError as error:
            raise ImageNotBuilt(str(error.explanation)) from error

    def build(self, context: IO[bytes], tag: str, arguments: dict[str, str]) -> Iterator[str]:
        """Build an image from a context, a tar with a Dockerfile, without network. Yields the builder's output lines.

        Raises ImageNotBuilt with the builder's message, ServiceUnavailable.
        """
        try:
            with self.client() as api:
                output = api.build(
                    fileobj=context,
                    custom_context=True,
                    tag=tag,
                    buildargs=arguments,
                    network_mode="none",
                    rm=True,
                    forcerm=True,
                    decode=True,
                )
                for entry in output:
                    if "error" in entry:
                        raise ImageNotBuilt(str(entry["error"]).strip())
                    if text := str(entry.get("stream", "")).rstrip():
                        yield from text.splitlines()
        except docker.errors.APIError as error:
            raise ImageNotBuilt(str(error.explanation)) from error
        except CONNECTION_LOST as error:
            raise ServiceUnavailable("the Docker daemon stopped during the build", remedy="Build again") from error


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
        self._api = daemon.client()
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
        with suppress(docker.errors.NotFound):  # The watch will detect and report that.
            status = self._retried(lambda: self._state(self._api))["Status"]
            if status == "created":
                self._start_created()
                return
            if status == "paused":
                self._paused = True
        self._start_watch()

    @override
    def follow(self, writer: LogWriter, stop: threading.Event) -> str:
        log = ContainerLog(self._daemon.address, self._daemon.api_version, self._container)
        return self._follower.follow(log, writer, self._ended, stop)

    @override
    def wait(self, timeout_s: float) -> ExitStatus | None:
        self._ended.wait(timeout_s)
        return self._exit

    @override
    def send(self, signal: Signal) -> None:
        self._unpause()
        with suppress(docker.errors.APIError):  # It has ended: 404 or 409.
            self._retried(lambda: self._api.kill(self._container, f"SIG{signal}"))

    @override
    def look(self) -> str:
        if self._outage or self._exit is not None:
            return self._outage or self._follower.problem
        try:
            if self._memory.unknown:
                self._memory.watch(int(self._state(self._api)["Pid"]))
            self._memory.look()
            self._keep_log_within_reach()
        except (docker.errors.APIError, *CONNECTION_LOST):
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
            with suppress(docker.errors.NotFound):
                self._api.remove_container(name, force=True)
            container = self._create_from(config, name)["Id"]
            self._api.start(container)
            code = self._api.wait(container)["StatusCode"]
            self._api.remove_container(container, force=True)
        except docker.errors.APIError as error:
            return f"the outputs belong to the image's user: {error.explanation}"
        return f"the outputs belong to the image's user: chown failed with exit code {code}" if code else ""

    @override
    def remove(self) -> None:
        self._closing.set()
        names = [self._record.container_id if self._record else container_name(self._task.task_id)]
        if self._record is not None and self._record.foreign_user:
            names.append(ownership_name(self._task.task_id))
        for name in names:
            self._retried(partial(remove_for_good, self._api, name))
        self._api.close()

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
        except docker.errors.APIError as error:
            raise StageFailed(
                explained(str(error.explanation), self._task), where=f"stage {self._task.stage}"
            ) from error
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
            except docker.errors.APIError as error:
                if error.status_code != HTTPStatus.CONFLICT:
                    raise
                try:
                    found: dict[str, Any] = self._api.inspect_container(name)
                except docker.errors.NotFound:
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
        created: dict[str, Any] = self._api.create_container_from_config(config, name)  # type: ignore[no-untyped-call]  # ditto
        return created

    def _image(self) -> dict[str, Any]:
        """The image's metadata; pulls the image if it is missing. Raises StageFailed."""
        image = self._task.image or ""
        with suppress(docker.errors.ImageNotFound):
            found: dict[str, Any] = self._api.inspect_image(image)  # type: ignore[no-untyped-call]  # as below
            return found
        try:
            self._daemon.pull(image, self._announce)
        except ImageNotBuilt as error:
            node = job_node()
            raise StageFailed(
                f"the image {image} is not on {node or 'this machine'} and cannot be pulled: {error.what}",
                where=f"stage {self._task.stage}",
                remedy=f"{how_to_copy(image, node) if node else how_to_get(image)}; then redo the stage",
            ) from error
        pulled: dict[str, Any] = self._api.inspect_image(image)  # type: ignore[no-untyped-call]  # the stubs' omission
        return pulled

    def _uid_in(self, image: dict[str, Any], container: str) -> int | None:
        """The number of the image's user; None if the image does not know it, which Docker reports at the start."""
        user = str(image["Config"]["User"]).partition(":")[0]
        if user.isdigit():
            return int(user)
        try:
            chunks, _ = self._api.get_archive(container, "/etc/passwd")
        except docker.errors.NotFound:
            return None
        return uid_of(user, b"".join(chunks))

    def _start_created(self) -> None:
        """Start a container that was never started."""
        try:
            self._api.start(self._container)
        except CONNECTION_LOST:
            self._note_outage()
            self.attach()  # It may have started, and must not start again.
            return
        except docker.errors.APIError as error:
            self._finish(ExitStatus(ended_at=datetime.now(UTC), failure=explained(str(error.explanation), self._task)))
            return
        self._start_watch()

    def _start_watch(self) -> None:
        threading.Thread(target=self._watch, name="container-watch", daemon=True).start()

    def _watch(self) -> None:
        """Wait for the container's end, through restarts of the daemon."""
        with self._daemon.client() as api:
            while self._exit is None and not self._closing.is_set():
                try:
                    if self._outage:
                        api.ping()
                        self._outage = ""
                    api.wait(self._container, timeout=None)
                    state = self._state(api)
                    if state["Status"] in {"exited", "dead"}:
                        self._finish(
                            exit_of(state, had_outage=self._had_outage, peak_memory_bytes=self._memory.peak_bytes)
                        )
                except docker.errors.NotFound:
                    reason = "its container was removed from outside Winslow"
                    self._finish(ExitStatus(ended_at=datetime.now(UTC), lost=reason))
                except (docker.errors.APIError, *CONNECTION_LOST):
                    self._note_outage()
                    self._closing.wait(RETRY_S)

    def _finish(self, exit_status: ExitStatus) -> None:
        self._exit = exit_status
        self._ended.set()

    def _state(self, api: docker.APIClient) -> dict[str, Any]:
        state: dict[str, Any] = api.inspect_container(self._container)["State"]
        return state

    def _retried(self, call: Callable[[], Result]) -> Result:
        """Call the daemon, again after each outage. Only for idempotent requests."""
        while True:
            try:
                result = call()
            except CONNECTION_LOST:
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
            self._api.pause(self._container)
            self._paused = True

    def _unpause(self) -> None:
        if self._paused:
            with suppress(docker.errors.APIError):
                self._retried(lambda: self._api.unpause(self._container))
            self._paused = False


def container_is_alive(task_id: str) -> bool:
    """Whether the attempt's container may be running; True if the daemon does not respond."""
    try:
        with DockerDaemon.connect().client() as api:
            status = str(api.inspect_container(container_name(task_id))["State"]["Status"])
    except docker.errors.NotFound:
        return False
    except (ServiceUnavailable, docker.errors.APIError, *CONNECTION_LOST):
        return True
    return status not in {"exited", "dead"}


def remove_for_good(api: docker.APIClient, container: str) -> None:
    """Remove a container in any state, and wait until it is gone. Raises EngineError."""
    while True:
        try:
            api.remove_container(container, v=True, force=True)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            if error.status_code != HTTPStatus.CONFLICT:
                raise EngineError(f"the container cannot be removed: {error.explanation}", where=container) from error
            time.sleep(RETRY_S / 10)  # Another client is removing it; Docker offers no way to wait for that.
        else:
            return
