"""Stages as Docker containers: the only file that knows the Docker SDK.

Whatever dies, the container's name makes sure that there is one container an attempt, and its state tells whoever comes
next how far it is. The daemon itself may go away and come back at any moment.
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
from pathlib import Path
from typing import IO, Any, TypeVar

import docker
import docker.errors
import docker.utils
import requests
import urllib3
from typing_extensions import override

from winslow_dagster.errors import EngineError, ImageNotBuilt, ServiceUnavailable, StageFailed
from winslow_dagster.stages.launchers.base import Exit, Launch, Launcher, Signal
from winslow_dagster.stages.launchers.docker.facts import ContainerRecord, exit_of, explained, user_of
from winslow_dagster.stages.launchers.docker.log_follower import ContainerFollower
from winslow_dagster.stages.launchers.docker.log_stream import ContainerLog, DaemonAddress
from winslow_dagster.stages.launchers.docker.spec import (
    PLACES,
    container_config,
    container_name,
    ownership_config,
    ownership_name,
)
from winslow_dagster.stages.launchers.process import cgroups
from winslow_dagster.stages.log import LogWriter
from winslow_dagster.stages.task.directory import TaskDirectory, read_value, write_quickly
from winslow_dagster.stages.task.model import StageTask

Answer = TypeVar("Answer")

REQUEST_TIMEOUT_S = 600
"""Starting a container on a busy machine may take minutes."""
RETRY_S = 0.5
CONNECTION_LOST = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,  # An answer that breaks off.
    requests.exceptions.InvalidJSONError,
    urllib3.exceptions.HTTPError,
)
"""What the SDK raises when the daemon goes away. Its own APIError is an answer, and none of these."""
PAUSE_BEHIND_S = 10.0
GO_ON_BEHIND_S = 1.0


class DockerDaemon:
    """A daemon that answered. `client` gives one client a thread: the SDK's are not for sharing."""

    def __init__(self, docker_host: str, address: DaemonAddress, api_version: str) -> None:
        self._docker_host = docker_host
        self.address = address
        self.api_version = api_version

    @classmethod
    def connect(cls) -> DockerDaemon:
        """Find the daemon of DOCKER_HOST or the usual one. Raises ServiceUnavailable with the reason."""
        docker_host = str(docker.utils.parse_host(os.environ.get("DOCKER_HOST") or None))
        address = DaemonAddress.parse(docker_host)
        try:
            address.connect().close()
            with docker.APIClient(docker_host, version="auto") as api:
                return cls(docker_host, address, str(api.api_version))
        except FileNotFoundError:
            reason, remedy = "there is no Docker daemon", "Install Docker and start it"
        except ConnectionRefusedError:
            reason, remedy = "the Docker daemon does not run", "Start it: systemctl start docker"
        except PermissionError:
            reason, remedy = "no permission to use Docker", "Add the user to the group docker and log in again"
        except (OSError, docker.errors.DockerException) as error:
            reason, remedy = f"the Docker daemon does not answer: {error}", "Look at its log: journalctl -u docker"
        raise ServiceUnavailable(reason, where=docker_host.removeprefix("http+"), remedy=remedy)

    def client(self) -> docker.APIClient:
        """A client that needs no round trip to be made."""
        return docker.APIClient(self._docker_host, version=self.api_version, timeout=REQUEST_TIMEOUT_S)

    def image_digest(self, image: str) -> str:
        """The digest of an image on this machine; empty where it is not here yet."""
        try:
            return digest_of(self.client().inspect_image(image))  # type: ignore[no-untyped-call]  # the stubs' omission
        except docker.errors.ImageNotFound:
            return ""

    def image_size_bytes(self, image: str) -> int | None:
        """The size of an image on this machine; None where it is not here."""
        try:
            return int(self.client().inspect_image(image)["Size"])  # type: ignore[no-untyped-call]  # as above
        except docker.errors.ImageNotFound:
            return None

    def pull(self, image: str, announce: Callable[[str], None]) -> None:
        """Get an image from its registry. Raises ImageNotBuilt with what the daemon or the registry says."""
        announce(f"pulls the image {image}")
        try:
            for line in self.client().pull(image, stream=True, decode=True):
                if "error" in line:
                    raise ImageNotBuilt(str(line["error"]))
                announce(f"pulls the image {image}: {line.get('status', '')} {line.get('progress', '')}".strip())
        except docker.errors.APIError as error:
            raise ImageNotBuilt(str(error.explanation)) from error

    def build(self, context: IO[bytes], tag: str, arguments: dict[str, str]) -> Iterator[str]:
        """Build an image of a context, a tar with a Dockerfile; gives the builder's lines. Its steps have no network.

        Raises ImageNotBuilt with the builder's reason.
        """
        try:
            with self.client() as api:
                said = api.build(
                    fileobj=context,
                    custom_context=True,
                    tag=tag,
                    buildargs=arguments,
                    network_mode="none",
                    rm=True,
                    forcerm=True,
                    decode=True,
                )
                for answer in said:
                    if "error" in answer:
                        raise ImageNotBuilt(str(answer["error"]).strip())
                    if text := str(answer.get("stream", "")).rstrip():
                        yield from text.splitlines()
        except docker.errors.APIError as error:
            raise ImageNotBuilt(str(error.explanation)) from error
        except CONNECTION_LOST as error:
            raise ServiceUnavailable("the Docker daemon went away during the build", remedy="Build again") from error


def digest_of(image: dict[str, Any]) -> str:
    """The name by which exactly this image can be had again: its registry's digest, or its own id."""
    digests: list[str] = image.get("RepoDigests") or [image["Id"]]
    return digests[0]


class ContainerLauncher(Launcher):
    """One attempt's container. `announce` is told what goes on before the start, and may raise to stop it."""

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
        self._exit: Exit | None = None
        self._outage = ""
        self._had_outage = False
        self._paused = False
        self._memory = cgroups.PeakMemory()

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
        self._record, is_new = self._patiently(lambda: self._create(launch))
        write_quickly(self._record_path, self._record.model_dump_json())
        if is_new:
            self._begin()
        else:
            self.attach()

    @override
    def attach(self) -> None:
        with suppress(docker.errors.NotFound):  # The watch finds that out as well, and says so.
            status = self._patiently(lambda: self._state(self._api))["Status"]
            if status == "created":
                self._begin()
                return
            if status == "paused":
                self._paused = True
        self._start_watch()

    @override
    def follow(self, writer: LogWriter, stop: threading.Event) -> None:
        log = ContainerLog(self._daemon.address, self._daemon.api_version, self._container)
        self._follower.follow(log, writer, self._ended, stop)

    @override
    def wait(self, timeout_s: float) -> Exit | None:
        self._ended.wait(timeout_s)
        return self._exit

    @override
    def send(self, signal: Signal) -> None:
        self._go_on()
        with suppress(docker.errors.APIError):  # It has ended: 404 or 409.
            self._patiently(lambda: self._api.kill(self._container, f"SIG{signal}"))

    @override
    def look(self) -> str:
        if self._outage or self._exit is not None:
            return self._outage
        try:
            if self._memory.unknown:
                self._memory.watch(int(self._state(self._api)["Pid"]))
            self._memory.look()
            self._keep_log_within_reach()
        except (docker.errors.APIError, *CONNECTION_LOST):
            return self._outage  # Either it ends or the daemon does: the watch says which.
        return "the stage is paused until its log has been read" if self._paused else ""

    @override
    def chown_outputs(self) -> str:
        if self._record is None or not self._record.foreign_user or os.getuid() == 0:
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
        return f"the outputs belong to the image's user: chown ended with {code}" if code else ""

    @override
    def remove(self) -> None:
        self._closing.set()
        names = [self._record.container_id if self._record else container_name(self._task.task_id)]
        if self._record is not None and self._record.foreign_user:
            names.append(ownership_name(self._task.task_id))
        for name in names:
            self._patiently(partial(remove_for_good, self._api, name))
        self._api.close()

    @property
    def _container(self) -> str:
        if self._record is None:
            raise EngineError("no container was created", where=self._task.task_id)
        return self._record.container_id

    def _create(self, launch: Launch) -> tuple[ContainerRecord, bool]:
        """The container's record, and whether it was made just now."""
        image = self._image()
        user, foreign_user = user_of(image)
        if foreign_user:
            # Another user writes here; the directories above keep others out or do not, as the machine's owner likes.
            self._directory.output.chmod(0o777)
            open_to_all(self._directory.checkpoint)
        name = container_name(self._task.task_id)
        config = container_config(launch, self._directory.path.parent, user)
        try:
            made = self._made(name, config)
        except docker.errors.APIError as error:
            raise StageFailed(
                explained(str(error.explanation), self._task), where=f"stage {self._task.stage}"
            ) from error
        record = ContainerRecord(
            container_id=made["Id"],
            image_digest=digest_of(image),
            unenforced=tuple(made.get("Warnings") or ()),
            foreign_user=foreign_user,
        )
        return record, "Warnings" in made

    def _made(self, name: str, config: dict[str, Any]) -> dict[str, Any]:
        """What the daemon says of the new container, or of one of this attempt that may have run already."""
        while True:
            try:
                made = self._create_from(config, name)
            except docker.errors.APIError as error:
                if error.status_code != HTTPStatus.CONFLICT:
                    raise
                found: dict[str, Any] = self._api.inspect_container(name)
                if found["Config"]["Labels"].get("winslow.task") != self._task.task_id:
                    raise StageFailed(f"a container called {name} is there", remedy=f"docker rm {name}") from error
                if found["State"]["Status"] != "created":
                    return found
                # A runner died before it wrote this one down, so it was never started; it may have other GPUs.
                remove_for_good(self._api, name)
            else:
                return made

    def _create_from(self, config: dict[str, Any], name: str) -> dict[str, Any]:
        made: dict[str, Any] = self._api.create_container_from_config(config, name)  # type: ignore[no-untyped-call]  # ditto
        return made

    def _image(self) -> dict[str, Any]:
        """The image as the daemon knows it; pulled where it is missing. Raises StageFailed."""
        image = self._task.image or ""
        with suppress(docker.errors.ImageNotFound):
            found: dict[str, Any] = self._api.inspect_image(image)  # type: ignore[no-untyped-call]  # as below
            return found
        try:
            self._daemon.pull(image, self._announce)
        except ImageNotBuilt as error:
            raise StageFailed(
                f"the image {image} is not on this machine and cannot be pulled: {error.what}",
                where=f"stage {self._task.stage}",
                remedy=f"Build it with docker build -t {image} or get it with docker pull {image}, then redo the stage",
            ) from error
        pulled: dict[str, Any] = self._api.inspect_image(image)  # type: ignore[no-untyped-call]  # the stubs' omission
        return pulled

    def _begin(self) -> None:
        """Start a container that was never started."""
        try:
            self._api.start(self._container)
        except CONNECTION_LOST:
            self._note_outage()
            self.attach()  # It may have run meanwhile, and must not run again.
            return
        except docker.errors.APIError as error:
            self._finish(Exit(ended_at=datetime.now(UTC), failure=explained(str(error.explanation), self._task)))
            return
        self._start_watch()

    def _start_watch(self) -> None:
        threading.Thread(target=self._watch, name="container-watch", daemon=True).start()

    def _watch(self) -> None:
        """Wait for the end, through whatever happens to the daemon."""
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
                    gone = "its container was removed from outside"
                    self._finish(Exit(ended_at=datetime.now(UTC), lost=gone))
                except (docker.errors.APIError, *CONNECTION_LOST):
                    self._note_outage()
                    self._closing.wait(RETRY_S)

    def _finish(self, how: Exit) -> None:
        self._exit = how
        self._ended.set()

    def _state(self, api: docker.APIClient) -> dict[str, Any]:
        state: dict[str, Any] = api.inspect_container(self._container)["State"]
        return state

    def _patiently(self, call: Callable[[], Answer]) -> Answer:
        """Ask the daemon, again after each outage. Only for what may be asked twice."""
        while True:
            try:
                answer = call()
            except CONNECTION_LOST:
                self._note_outage()
                self._announce(self._outage)
                self._closing.wait(RETRY_S)
            else:
                self._outage = ""
                return answer

    def _note_outage(self) -> None:
        self._had_outage = True
        if not self._outage:
            since = datetime.now(UTC)
            self._outage = f"the Docker daemon does not answer since {since:%H:%M:%S} UTC; the stage goes on with it"

    def _keep_log_within_reach(self) -> None:
        """Slow down a stage that writes faster than can be read, before Docker drops lines."""
        if self._paused and self._follower.behind_s < GO_ON_BEHIND_S:
            self._go_on()
        elif not self._paused and self._follower.caught_up and self._follower.behind_s > PAUSE_BEHIND_S:
            self._api.pause(self._container)
            self._paused = True

    def _go_on(self) -> None:
        if self._paused:
            with suppress(docker.errors.APIError):
                self._patiently(lambda: self._api.unpause(self._container))
            self._paused = False


def container_lives(task_id: str) -> bool:
    """Whether the attempt's container may still run; assumed where the daemon does not answer."""
    try:
        with DockerDaemon.connect().client() as api:
            status = str(api.inspect_container(container_name(task_id))["State"]["Status"])
    except docker.errors.NotFound:
        return False
    except (ServiceUnavailable, docker.errors.APIError, *CONNECTION_LOST):
        return True
    return status not in {"exited", "dead"}


def open_to_all(directory: Path) -> None:
    """Let any user write below it: what an earlier attempt left was made this user's when that ended."""
    for parent, _, names in os.walk(directory):
        for path in (Path(parent), *(Path(parent, name) for name in names)):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o777 if path.is_dir() else 0o666))


def remove_for_good(api: docker.APIClient, container: str) -> None:
    """Remove it whatever it does; returns when it is gone."""
    while True:
        try:
            api.remove_container(container, v=True, force=True)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            if error.status_code != HTTPStatus.CONFLICT:
                raise EngineError(f"the container cannot be removed: {error.explanation}", where=container) from error
            time.sleep(RETRY_S / 10)  # Somebody else removes it just now; Docker offers no way to wait for that.
        else:
            return
