"""An installation with projects of cheap stages, and what is sent to its web server."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from installation import Installation
from project_pipelines import pipelines

from winslow_dagster import Winslow
from winslow_dagster.projects.domain.actor import Actor


@dataclass(frozen=True)
class Answer:
    """What the server answered."""

    status: int
    body: bytes
    headers: Message

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def data(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """An installation with its web server, and the Python API beside it."""

    place: Installation
    winslow: Winslow

    def send(
        self,
        path: str,
        method: str = "GET",
        body: Any = None,
        form: Any = None,
        raw: bytes | None = None,
        **headers: str,
    ) -> Answer:
        content = raw
        if body is not None:
            content, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        if form is not None:
            content = urllib.parse.urlencode(form).encode()
            headers["HX-Request"] = "true"
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"{self.place.services.address}{path}", content, sent, method=method)
        try:
            with urllib.request.urlopen(request) as response:
                return Answer(response.status, response.read(), response.headers)
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read(), error.headers)

    def api(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> Answer:
        return self.send(f"/api/v1/projects/{path}", method, body, **headers)

    def state(self, project: str) -> str:
        return self.winslow.status(project).state

    def open_gate(self) -> None:
        (self.place.folder / "gate").touch()

    def shut_gate(self) -> None:
        (self.place.folder / "gate").unlink(missing_ok=True)


@contextlib.contextmanager
def running(folder: Path, files: Callable[[Path], dict[str, str]] = pipelines) -> Iterator[Server]:
    """The services, while the block lasts. `files` makes the pipelines."""
    place = Installation(folder, None, files(folder))
    place.up()
    try:
        with Winslow(place.settings, Actor("anna")) as winslow:
            yield Server(place, winslow)
    finally:
        # A stage that waits for it would go on without the services.
        (folder / "gate").touch()
        place.down()
