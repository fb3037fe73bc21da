"""Pulls and builds images. The only module that uses Docker's SDK, which knows the log-ins of registries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING

import docker
import docker.errors
import requests
import urllib3

from winslow_dagster.errors import ImageNotBuilt, ServiceUnavailable
from winslow_dagster.stages.launchers.docker.daemon_api import REQUEST_TIMEOUT_S, ConnectionFailed

if TYPE_CHECKING:
    from winslow_dagster.stages.launchers.docker.containers import DockerDaemon

CONNECTION_LOST = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,  # A truncated response.
    requests.exceptions.InvalidJSONError,
    urllib3.exceptions.HTTPError,
)
"""What the SDK raises when the connection is lost. Its APIError is a response of the daemon and not among these."""


def pull(daemon: DockerDaemon, image: str, announce: Callable[[str], None]) -> None:
    """Pull an image from its registry.

    Raises ImageNotBuilt with the message of the daemon or the registry, ConnectionFailed.
    """
    announce(f"pulling the image {image}")
    try:
        with _client(daemon) as api:
            for line in api.pull(image, stream=True, decode=True):
                if "error" in line:
                    raise ImageNotBuilt(str(line["error"]))
                announce(f"pulling the image {image}: {line.get('status', '')} {line.get('progress', '')}".strip())
    except docker.errors.APIError as error:
        raise ImageNotBuilt(str(error.explanation)) from error
    except CONNECTION_LOST as error:
        raise ConnectionFailed(str(error)) from error


def build(daemon: DockerDaemon, context: IO[bytes], tag: str, arguments: dict[str, str]) -> Iterator[str]:
    """Build an image from a context, a tar with a Dockerfile, without network. Yields the builder's output lines.

    Raises ImageNotBuilt with the builder's message, ServiceUnavailable.
    """
    try:
        with _client(daemon) as api:
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


def _client(daemon: DockerDaemon) -> docker.APIClient:
    return docker.APIClient(daemon.docker_host, version=daemon.api_version, timeout=int(REQUEST_TIMEOUT_S))
