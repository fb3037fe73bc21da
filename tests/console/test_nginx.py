"""The web server behind a real nginx: with the shipped configuration, and with nginx's own defaults."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse, HTTPSConnection
from pathlib import Path

import pytest
from blake3 import blake3
from certificates import certificate
from installation import free_port, until
from log_in import authorization
from playwright.sync_api import sync_playwright
from web_server import ALLOWED_NAME, PAUSE, RESUME, Console, listens
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from winslow_dagster.client.uploads import SMALL_PART_BYTES
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.installation import Installation as FrontDoor
from winslow_dagster.services import Services

pytestmark = pytest.mark.nginx

PART = {"Content-Type": "application/offset+octet-stream", "Tus-Resumable": "1.0.0"}
SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx" / "winslow.conf"
# What a person writes who has read nginx's manual and nothing else, except that the host is passed on.
PLAIN = """
server {
    listen 127.0.0.1:443 ssl;
    server_name winslow.example;
    ssl_certificate     /etc/ssl/winslow.example.pem;
    ssl_certificate_key /etc/ssl/winslow.example.key;
    location / {
        proxy_pass http://127.0.0.1:3000;
        proxy_set_header Host $http_host;
    }
}
"""
NGINX = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/winslow.conf;
}}
"""


@dataclass(frozen=True)
class Proxy:
    """A proxy that speaks https as winslow.example."""

    port: int
    trust: ssl.SSLContext
    proof: dict[str, str]

    @property
    def origin(self) -> str:
        return f"https://{ALLOWED_NAME}:{self.port}"

    @contextlib.contextmanager
    def sent(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Iterator[HTTPResponse]:
        connection = HTTPSConnection(ALLOWED_NAME, self.port, context=self.trust)
        connection.sock = self.socket()
        try:
            connection.request(method, path, body, {"Origin": self.origin, **self.proof, **headers})
            yield connection.getresponse()
        finally:
            connection.close()

    def socket(self) -> ssl.SSLSocket:
        return self.trust.wrap_socket(socket.create_connection(("127.0.0.1", self.port)), server_hostname=ALLOWED_NAME)


@contextlib.contextmanager
def nginx(directory: Path, site: str, console: Console) -> Iterator[Proxy]:
    """Runs nginx with a site's configuration, of which only addresses and files are replaced."""
    port, plain_port = free_port(), free_port()
    pem, key = certificate(directory, ALLOWED_NAME)
    changes = {
        r"\b(127\.0\.0\.1:)?443\b": f"127.0.0.1:{port}",
        r"listen 80;": f"listen 127.0.0.1:{plain_port};",
        r"127\.0\.0\.1:3000\b": f"127.0.0.1:{console.port}",
        r"/etc/ssl/winslow\.example\.pem": str(pem),
        r"/etc/ssl/winslow\.example\.key": str(key),
    }
    for pattern, replacement in changes.items():
        site, count = re.subn(pattern, replacement, site)
        assert count or pattern.startswith("listen 80"), pattern
    (directory / "winslow.conf").write_text(site)
    (directory / "nginx.conf").write_text(NGINX.format(directory=directory))
    process = subprocess.Popen(["nginx", "-p", str(directory), "-c", str(directory / "nginx.conf")])
    try:
        until(lambda: listens(port) or process.poll() is not None, "nginx listens")
        assert process.poll() is None, (directory / "error.log").read_text()
        yield Proxy(port, ssl.create_default_context(cafile=str(pem)), authorization(console.settings))
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def shipped(console_process: Console, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with nginx(tmp_path_factory.mktemp("shipped"), SHIPPED.read_text(), console_process) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def plain(console_process: Console, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with nginx(tmp_path_factory.mktemp("plain"), PLAIN, console_process) as proxy:
        yield proxy


@pytest.fixture(params=["shipped", "plain"])
def proxy(request: pytest.FixtureRequest) -> Proxy:
    found: Proxy = request.getfixturevalue(request.param)
    return found


def test_pages_and_acts_pass_through(proxy: Proxy, console: Console) -> None:
    with proxy.sent("GET", "/") as answer:
        text = answer.read().decode()
        assert (answer.status, "<main" in text) == (200, True)
    asset = re.search(r'"(/static/[^"]+\.css)"', text)
    assert asset is not None
    with proxy.sent("GET", asset[1]) as answer:
        assert answer.status == 200
    for query, paused in ((PAUSE, True), (RESUME, False)):
        body = json.dumps({"query": query}).encode()
        with proxy.sent("POST", "/dagit/graphql", body, **{"Content-Type": "application/json"}) as answer:
            assert answer.status == 200
        assert console.paused() is paused


def test_a_page_of_another_site_is_still_refused(proxy: Proxy, console: Console) -> None:
    body = json.dumps({"query": PAUSE}).encode()
    headers = {"Content-Type": "application/json", "Origin": "https://evil.example"}
    with proxy.sent("POST", "/dagit/graphql", body, **headers) as answer:
        assert answer.status == 403
    assert not console.paused()


def test_a_change_arrives_at_once(proxy: Proxy) -> None:
    """Within the open stream: nothing waits for a full buffer."""
    with proxy.sent("GET", "/live") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        first = answer.readline()
        while not first.startswith(b"data:"):
            first = answer.readline()
        assert json.loads(first.removeprefix(b"data:")) == {
            "projects": [],
            "attempts": [],
            "progress": [],
            "everything": False,
        }


def test_dagit_opens_a_websocket_behind_the_shipped_configuration(shipped: Proxy, plain: Proxy) -> None:
    def open_websocket(proxy: Proxy) -> str | None:
        address = f"wss://{ALLOWED_NAME}:{proxy.port}/dagit/graphql"
        sock = socket.create_connection(("127.0.0.1", proxy.port))
        options = {"origin": proxy.origin, "additional_headers": proxy.proof, "subprotocols": ["graphql-ws"]}
        with connect(address, sock=sock, ssl=proxy.trust, **options) as opened:  # type: ignore[arg-type,list-item]
            return opened.subprotocol

    assert open_websocket(shipped) == "graphql-ws"
    # nginx passes no upgrade on unless it is told to. Dagit then asks again and again instead.
    with pytest.raises(InvalidStatus):
        open_websocket(plain)


def sent_in_parts(proxy: Proxy, name: str, content: bytes, part_bytes: int) -> list[int]:
    """Send a file. Returns the statuses of all parts."""
    metadata = f"filename {base64.b64encode(name.encode()).decode()}"
    head = {"Upload-Length": str(len(content)), "Upload-Metadata": metadata}
    with proxy.sent("POST", "/api/v1/uploads", **head) as answer:
        location = answer.headers["Location"]
    statuses = []
    for offset in range(0, len(content), part_bytes):
        part = content[offset : offset + part_bytes]
        with proxy.sent("PATCH", location, part, **{**PART, "Upload-Offset": str(offset)}) as answer:
            statuses.append(answer.status)
    if set(statuses) != {204}:
        with proxy.sent("DELETE", location) as answer:
            assert answer.status == 204
        return statuses

    def state() -> str:
        with proxy.sent("GET", location) as answer:
            found: str = json.load(answer)["state"]
        return found

    until(lambda: state() != "receiving", "the upload has ended")
    assert state() == "stored"
    return statuses


def test_a_file_passes_whole_through_the_shipped_configuration_and_in_small_parts_through_any(
    shipped: Proxy, plain: Proxy, console: Console
) -> None:
    content = os.urandom(5_000_000)
    assert sent_in_parts(shipped, "whole.bin", content, len(content)) == [204]
    assert sent_in_parts(plain, "refused.bin", content, len(content)) == [413]
    assert set(sent_in_parts(plain, "parts.bin", content, SMALL_PART_BYTES)) == {204}
    with FrontDoor(console.settings, Services(console.settings), Actor("tests", "cli")) as front:
        for name in ("whole.bin", "parts.bin"):
            assert [each.blake3 for each in front.pool.files.file(name).manifest.files] == [blake3(content).hexdigest()]
            front.pool.remove(name)


@pytest.mark.chromium
def test_a_browser_behind_a_proxy_that_limits_requests_sends_small_parts_by_itself(
    plain: Proxy, console: Console, tmp_path: Path
) -> None:
    path = tmp_path / "limited.bin"
    path.write_bytes(os.urandom(5_000_000))
    to_here = f"--host-resolver-rules=MAP {ALLOWED_NAME} 127.0.0.1"
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[to_here]) as browser,
        browser.new_context(base_url=plain.origin, ignore_https_errors=True) as context,
    ):
        context.add_cookies([console.cookie.of(plain.origin)])  # type: ignore[list-item]  # as it takes them
        page = context.new_page()
        page.goto("/files")
        page.locator("upload-area:defined").wait_for()
        page.locator("#choose-files").set_input_files(path)
        row = page.locator("upload-tray li", has_text=path.name)
        row.get_by_text("is in the pool as limited.bin").wait_for()
        row.get_by_text("A proxy in front of the server limits the size of requests").wait_for()
    with FrontDoor(console.settings, Services(console.settings), Actor("tests", "cli")) as front:
        (stored,) = front.pool.files.file(path.name).manifest.files
        assert stored.blake3 == blake3(path.read_bytes()).hexdigest()
        front.pool.remove(path.name)


def test_a_large_request_reaches_the_server_behind_the_shipped_configuration(shipped: Proxy, plain: Proxy) -> None:
    query = json.dumps({"query": f"{{ version }} # {'x' * 3_000_000}"}).encode()
    headers = {"Content-Type": "application/json"}
    with shipped.sent("POST", "/dagit/graphql", query, **headers) as answer:
        assert answer.status == 200
    with plain.sent("POST", "/dagit/graphql", query, **headers) as answer:
        assert answer.status == 413
