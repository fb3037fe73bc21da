"""The whole application, asked without a network: a test says from which address a request comes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message

from winslow_dagster.console.app import create_app
from winslow_dagster.console.cookies import cookie_name
from winslow_dagster.projects.accounts.login import Browser
from winslow_dagster.projects.domain.actor import Actor, Role
from winslow_dagster.projects.installation import Installation
from winslow_dagster.services import Services
from winslow_dagster.settings import Settings

PASSWORD = "correct horse battery"
HERE = "http://127.0.0.1:3000"
OWN_PAGE = {"Origin": HERE}


@dataclass(frozen=True)
class Server:
    """The application and its installation, whose services do not run."""

    app: ASGIApp
    installation: Installation

    def send(
        self,
        method: str,
        path: str,
        *,
        peer: str = "127.0.0.1",
        base: str = HERE,
        cookies: dict[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=(peer, 50_000), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=base, cookies=cookies) as client:
                return await client.request(method, path, **options)

        return anyio.run(send)

    def handshake(
        self, path: str, *, cookies: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> int:
        """The status of the answer to the handshake of a WebSocket: 101, if what is behind the log-in is asked."""
        sent = {"Host": HERE.removeprefix("http://"), **(headers or {})}
        if cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            messages.append(message)

        scope = {
            "type": "websocket",
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 3000),
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}},
        }
        anyio.run(self.app, scope, receive, send)
        first = messages[0]
        # The server makes a refusal of a closed handshake.
        return 403 if first["type"] == "websocket.close" else int(first.get("status", 101))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.send("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """As a page of this server."""
        options["headers"] = {**OWN_PAGE, **options.get("headers", {})}
        return self.send("POST", path, **options)

    def cookies(self, name: str) -> dict[str, str]:
        """Those of a new session of the person."""
        accounts = self.installation.accounts
        opened = accounts.login.by_link(accounts.login_link(name), Browser("127.0.0.1", "tests"))
        return {cookie_name(self.installation, secure=False): opened.key}

    def token(self, name: str, role: Role | None = None) -> dict[str, str]:
        """The headers of a program with a new token of the person."""
        return {"Authorization": f"Bearer {self.installation.accounts.create_token(name, 'test', role=role).key}"}

    def routes(self) -> dict[tuple[str, str], BaseRoute]:
        """(method, path) -> route, for each of the application. The method of what is mounted is MOUNT."""
        application: Any = self.app
        while not hasattr(application, "routes"):
            application = application._app  # behind the guard, the log-in and so on
        found = {}
        for each in application.routes:
            contexts = each.effective_route_contexts() if hasattr(each, "effective_route_contexts") else [each]
            for context in contexts:
                methods = set(getattr(context, "methods", None) or {"MOUNT"})
                # Whoever answers GET answers HEAD alike.
                for method in sorted(methods - {"HEAD"} if "GET" in methods else methods):
                    found[method, context.path] = context
        return found


@contextlib.contextmanager
def in_process(home: Path, dagit: ASGIApp | None = None, **variables: str) -> Iterator[Server]:
    # Without a pipeline nothing is run, whatever is asked for.
    pipelines = home / "pipelines"
    pipelines.mkdir(parents=True)
    settings = Settings.read({"WINSLOW_HOME": str(home), "WINSLOW_PIPELINES_DIR": str(pipelines), **variables})
    with Installation(settings, Services(settings), Actor("root", "cli")) as installation:
        yield Server(create_app(installation, dagit), installation)
