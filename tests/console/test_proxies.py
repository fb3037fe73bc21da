"""What a proxy in front of the server says is believed only if it is one of the listed ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from in_process import OWN_PAGE, PASSWORD, Server, in_process

from winslow_dagster.console.peer import networks_of, peer_of

PROXY = "10.0.0.5"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    variables = {
        "WINSLOW_TRUSTED_PROXIES": f"{PROXY},10.1.0.0/16",
        "WINSLOW_PROXY_USER_HEADER": "X-Remote-User",
        "WINSLOW_PROXY_ROLE_HEADER": "X-Remote-Roles",
        "WINSLOW_ROLE_NAMES": "staff=operator,heads=admin",
    }
    with in_process(tmp_path_factory.mktemp("proxy"), **variables) as made:
        made.installation.accounts.add("root", role="admin", password=PASSWORD)
        yield made


def me(server: Server, peer: str, **headers: str) -> tuple[int, Any]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = server.get("/api/v1/me", peer=peer, headers=sent)
    return answer.status_code, answer.json()


def test_a_person_whom_a_listed_proxy_names_is_logged_in(server: Server) -> None:
    status, found = me(server, PROXY, X_Remote_User="Dora", X_Remote_Roles="choir, staff")
    assert (status, found["name"], found["role"], found["proof"]) == (200, "dora", "operator", "proxy")
    assert me(server, "10.1.2.3", X_Remote_User="dora")[1]["role"] == "viewer"
    assert server.get("/settings", peer=PROXY, headers={"X-Remote-User": "dora"}).status_code == 200


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "10.0.0.6", "192.0.2.7", "::ffff:10.0.0.6"])
def test_the_same_header_from_anybody_else_is_not_looked_at(server: Server, peer: str) -> None:
    for headers in ({"X_Remote_User": "root"}, {"X_Remote_User": "root", "X_Forwarded_For": PROXY}):
        assert me(server, peer, **headers)[0] == 401


def test_a_proxy_written_as_an_ipv6_address_is_the_same_proxy(server: Server) -> None:
    assert me(server, f"::ffff:{PROXY}", X_Remote_User="dora")[0] == 200


def test_a_disabled_person_and_a_name_that_is_none_stay_out(server: Server) -> None:
    server.installation.accounts.add("eve")
    server.installation.accounts.disable("eve")
    assert me(server, PROXY, X_Remote_User="eve")[0] == 401
    assert me(server, PROXY, X_Remote_User="../root")[0] == 422
    assert me(server, PROXY, X_Remote_User=" ")[0] == 401
    twice = [("X-Remote-User", "dora"), ("X-Remote-User", "root")]
    assert server.get("/api/v1/me", peer=PROXY, headers=twice).status_code == 401


def test_what_a_proxy_lets_through_changes_something_only_from_a_page_of_this_server(server: Server) -> None:
    headers = {"X-Remote-User": "root", "X-Remote-Roles": "heads"}
    body = {"display_name": "Root"}
    assert server.send("PATCH", "/api/v1/people/root", peer=PROXY, headers=headers, json=body).status_code == 403
    allowed = server.send("PATCH", "/api/v1/people/root", peer=PROXY, headers=headers | OWN_PAGE, json=body)
    assert allowed.status_code == 200


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        ("192.0.2.7", [], "192.0.2.7"),
        ("192.0.2.7", ["203.0.113.9"], "192.0.2.7"),
        (PROXY, [], PROXY),
        (PROXY, ["203.0.113.9"], "203.0.113.9"),
        # A browser may send the header, too: each proxy adds what it sees at the end.
        (PROXY, ["127.0.0.1, 203.0.113.9"], "203.0.113.9"),
        (PROXY, ["127.0.0.1", "203.0.113.9"], "203.0.113.9"),
        (PROXY, ["203.0.113.9, 10.1.0.4"], "203.0.113.9"),
        (PROXY, ["2001:db8::7"], "2001:db8::7"),
        (PROXY, ["unknown"], ""),
        (PROXY, ["<script>"], ""),
    ],
)
def test_the_address_is_what_the_first_listed_proxy_saw(client: str, forwarded: list[str], address: str) -> None:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    scope = {"type": "http", "scheme": "http", "client": (client, 1), "headers": headers}
    assert peer_of(scope, networks_of([PROXY, "10.1.0.0/16"])).address == address


@pytest.mark.parametrize(("client", "secure"), [(PROXY, True), ("192.0.2.7", False), ("127.0.0.1", False)])
def test_only_a_listed_proxy_says_that_the_browser_speaks_https(client: str, *, secure: bool) -> None:
    headers = [(b"x-forwarded-proto", b"http, https")]
    scope = {"type": "http", "scheme": "http", "client": (client, 1), "headers": headers}
    assert peer_of(scope, networks_of([PROXY])).secure is secure


def test_the_cookie_of_a_log_in_behind_https_is_secure(server: Server) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    answer = server.post("/login", data={"name": "root", "password": PASSWORD}, peer=PROXY, headers=headers)
    assert answer.headers["set-cookie"].startswith("__Host-")
    (session, *_) = server.installation.accounts.sessions("root")
    assert session.address == "203.0.113.9"
