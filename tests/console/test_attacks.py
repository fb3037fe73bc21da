"""What a foreign page can make a browser send, byte by byte, changes nothing; what people and programs send works."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from web_server import ALLOWED_ADDRESS, ALLOWED_NAME, PAUSE, Console, lines

URL_MUTATION = f"/dagit/graphql?query={quote(PAUSE)}"
JSON_MUTATION = json.dumps({"query": PAUSE})
JSON = "Content-Type: application/json"
UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def host(console: Console, name: str = "127.0.0.1") -> str:
    return f"Host: {name}:{console.port}"


@pytest.mark.parametrize(
    ("accept", "target"),
    [
        ("image/avif,image/webp,*/*", URL_MUTATION),
        ("text/html", URL_MUTATION),
        ("*/*", f"{URL_MUTATION}&operationName="),
        ("*/*", URL_MUTATION.replace("/graphql", "/%67raphql")),
    ],
)
@pytest.mark.parametrize("site", ["Sec-Fetch-Site: cross-site", "X-Browser: over plain http"])
def test_a_mutation_in_the_url_of_a_get_request_is_refused(
    console: Console, accept: str, target: str, site: str
) -> None:
    status, text = console.send(lines(f"GET {target} HTTP/1.1", host(console), f"Accept: {accept}", site))
    assert status == (403 if "cross-site" in site else 405)
    assert "was refused" in text
    assert not console.paused()


def test_a_line_feed_after_the_path_leads_to_a_page_and_executes_nothing(console: Console) -> None:
    target = URL_MUTATION.replace("/graphql", "/graphql%0A")
    status, text = console.send(lines(f"GET {target} HTTP/1.1", host(console), "Accept: */*"))
    assert (status, "<!doctype html>" in text.lower()) == (200, True)
    assert not console.paused()


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/plain;charset=UTF-8",
        "text/plain; application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "",
    ],
)
def test_graphql_of_another_content_type_than_json_is_refused(console: Console, content_type: str) -> None:
    head = (f"POST {URL_MUTATION} HTTP/1.1", host(console), f"Content-Type: {content_type}")
    status, text = console.send(lines(*head, body=JSON_MUTATION))
    assert (status, "send GraphQL as application/json" in text) == (415, True)
    assert not console.paused()


def test_a_post_request_without_a_content_type_is_refused(console: Console) -> None:
    status, _ = console.send(lines(f"POST {URL_MUTATION} HTTP/1.1", host(console), body="x"))
    assert status == 415
    assert not console.paused()


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:{other_port}",
        "https://127.0.0.1:1{port}",
        "http://localhost:{port}",
        "http://127.0.0.1:{port}.evil.example",
        "http://127.0.0.1:{port}@evil.example",
        "http://evil.example/http://127.0.0.1:{port}",
        "file://127.0.0.1:{port}",
        "chrome-extension://127.0.0.1:{port}",
        "",
    ],
)
@pytest.mark.parametrize("kind", ["json", "simple", "preflight", "websocket"])
def test_a_request_of_a_foreign_page_is_refused(console: Console, origin: str, kind: str) -> None:
    foreign = f"Origin: {origin.format(port=console.port, other_port=console.port + 1)}"
    head, body = {
        "json": (("POST /dagit/graphql HTTP/1.1", JSON), JSON_MUTATION),
        "simple": ((f"POST {URL_MUTATION} HTTP/1.1", "Content-Type: text/plain"), "x"),
        "preflight": (("OPTIONS /dagit/graphql HTTP/1.1", "Access-Control-Request-Method: POST"), ""),
        "websocket": (("GET /dagit/graphql HTTP/1.1", *UPGRADE), ""),
    }[kind]
    status, text = console.send(lines(*head, host(console), foreign, body=body))
    assert (status, "sent by a page of another site" in text) == (403, True)
    assert not console.paused()


@pytest.mark.parametrize("site", ["cross-site", "same-site", "something-new"])
@pytest.mark.parametrize(
    ("method", "mode", "dest"),
    [
        ("GET", "no-cors", "image"),
        ("GET", "no-cors", "script"),
        ("GET", "navigate", "iframe"),
        ("GET", "navigate", "object"),
        ("POST", "navigate", "document"),
        ("GET", "cors", "empty"),
    ],
)
def test_other_sites_embed_nothing_and_post_nothing(
    console: Console, site: str, method: str, mode: str, dest: str
) -> None:
    fetch = (f"Sec-Fetch-Site: {site}", f"Sec-Fetch-Mode: {mode}", f"Sec-Fetch-Dest: {dest}")
    status, text = console.send(lines(f"{method} / HTTP/1.1", host(console), *fetch))
    assert (status, "Other sites may only link" in text) == (403, True)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin", "none"])
def test_links_of_other_sites_and_bookmarks_open_pages(console: Console, site: str) -> None:
    fetch = (f"Sec-Fetch-Site: {site}", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
    status, text = console.send(lines("GET /dagit/runs HTTP/1.1", host(console), "Accept: text/html", *fetch))
    assert status == 200
    assert "<html" in text


@pytest.mark.parametrize(
    "name",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.localhost",
        f"not-{ALLOWED_NAME}",
        f"{ALLOWED_NAME}.evil.example",
        "0.0.0.0",
        "192.0.2.7",
        "169.254.169.254",
        "[::]",
        "[2001:db8::8]",
        "[::ffff:192.0.2.7]",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "127.0.0.01",
    ],
)
@pytest.mark.parametrize("port", ["", ":80", ":{port}"])
def test_a_host_that_is_not_known_is_refused_with_the_setting_that_allows_it(
    console: Console, name: str, port: str
) -> None:
    own = name + port.format(port=console.port)
    for head in ((), UPGRADE):
        request = lines("GET /dagit/graphql HTTP/1.1", f"Host: {own}", f"Origin: http://{own}", *head)
        status, text = console.send(request)
        assert (status, "WINSLOW_ALLOWED_HOSTS" in text) == (421, True)
    request = lines("POST /dagit/graphql HTTP/1.1", f"Host: {own}", f"Origin: http://{own}", JSON, body=JSON_MUTATION)
    assert console.send(request)[0] == 421
    assert not console.paused()


@pytest.mark.parametrize(
    "hosts",
    [
        (),
        ("Host:",),
        ("Host: 127.0.0.1", "Host: evil.example"),
        ("Host: evil.example", "Host: 127.0.0.1"),
        ("Host: evil.example, 127.0.0.1",),
        ("Host: 127.0.0.1@evil.example",),
        ("Host: 127.0.0.1/evil.example",),
        ("Host: 127.0.0.1:x",),
        ("Host: 127.0.0.1:123456",),
        ("Host: 127.0.0.1:80:80",),
        ("Host: [::1",),
        ("Host: ::1",),
        ("Host: [::1%25lo]",),
        ("Host: ..",),
        ("Host: m\u00fcnchen.example",),
        ("Host: \u202elocalhost",),
    ],
)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_request_without_exactly_one_well_formed_host_is_refused(
    console: Console, hosts: tuple[str, ...], version: str
) -> None:
    status, text = console.send(lines(f"POST /dagit/graphql HTTP/{version}", *hosts, JSON, body=JSON_MUTATION))
    assert status == 400
    assert "Host" in text
    assert not console.paused()


def test_two_origins_are_refused(console: Console) -> None:
    origins = (f"Origin: {console.address}", "Origin: http://evil.example")
    status, _ = console.send(lines("POST /dagit/graphql HTTP/1.1", host(console), *origins, JSON, body=JSON_MUTATION))
    assert status == 400
    assert not console.paused()


def test_the_target_of_a_request_is_not_a_way_around_its_host(console: Console) -> None:
    target = f"http://127.0.0.1:{console.port}/dagit/graphql"
    status, _ = console.send(lines(f"POST {target} HTTP/1.1", "Host: evil.example", JSON, body=JSON_MUTATION))
    assert status == 421
    status, _ = console.send(lines(f"GET {target}?query={quote(PAUSE)} HTTP/1.1", host(console)))
    assert status == 405
    assert not console.paused()


@pytest.mark.parametrize(
    "name",
    [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.0.0.1",
        "127.8.9.10",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::FFFF:7F00:1]",
        ALLOWED_NAME,
        ALLOWED_NAME.upper(),
        f"{ALLOWED_NAME}.",
        f"[{ALLOWED_ADDRESS}]",
        "[2001:0DB8:0:0:0:0:0:7]",
    ],
)
@pytest.mark.parametrize("port", ["", ":8080", ":{port}"])
def test_pages_of_a_known_host_may_change_things(console: Console, name: str, port: str) -> None:
    own = name + port.format(port=console.port)
    head = ("POST /dagit/graphql HTTP/1.1", f"Host: {own}", JSON, "Sec-Fetch-Site: same-origin")
    status, _ = console.send(lines(*head, f"Origin: http://{own}", body=JSON_MUTATION))
    assert status == 200
    assert console.paused()


@pytest.mark.parametrize(
    ("own", "origin"),
    [
        (ALLOWED_NAME, f"https://{ALLOWED_NAME}"),
        (f"{ALLOWED_NAME}:443", f"https://{ALLOWED_NAME}"),
        (f"{ALLOWED_NAME}:80", f"http://{ALLOWED_NAME}"),
        (f"{ALLOWED_NAME}:8443", f"https://{ALLOWED_NAME}:8443"),
    ],
)
def test_a_proxy_that_ends_tls_needs_no_setting_but_the_name(console: Console, own: str, origin: str) -> None:
    head = ("POST /dagit/graphql HTTP/1.1", f"Host: {own}", f"Origin: {origin}", JSON)
    assert console.send(lines(*head, body=JSON_MUTATION))[0] == 200
    assert console.paused()


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_a_program_needs_no_origin(console: Console, content_type: str) -> None:
    head = ("POST /dagit/graphql HTTP/1.1", host(console), f"Content-Type: {content_type}")
    status, text = console.send(lines(*head, body=JSON_MUTATION))
    assert (status, json.loads(text)) == (200, {"data": {"setAutoMaterializePaused": True}})
    assert console.paused()


def test_the_query_editor_opens(console: Console) -> None:
    status, text = console.send(lines("GET /dagit/graphql HTTP/1.1", host(console), "Accept: text/html"))
    assert (status, "GraphiQL" in text) == (200, True)


def test_no_page_of_another_site_shows_these_pages_in_a_frame(console: Console) -> None:
    import urllib.request

    request = urllib.request.Request(console.address, headers=console.cookie.header)
    with urllib.request.urlopen(request) as response:
        policies = response.headers.get_all("Content-Security-Policy")
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "frame-ancestors 'self'" in policies
    assert any("script-src" in policy for policy in policies), "Dagster's own policy is still there"


def test_a_refusal_quotes_at_most_a_line_of_what_was_sent(console: Console) -> None:
    origin = f"Origin: http://{'<script>' * 500}\t\u202e"
    status, text = console.send(lines("GET / HTTP/1.1", host(console), origin))
    assert status == 403
    assert len(text) < 400
    assert text.isascii()
