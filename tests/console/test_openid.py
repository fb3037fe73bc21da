"""Logging in through an OpenID provider."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from in_process import PASSWORD, Server, in_process
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from openid_provider import CLIENT, SECRET, Provider, openid_provider

from winslow_dagster.console.pages.login import FLOW_COOKIE


@pytest.fixture
def provider() -> Iterator[Provider]:
    with openid_provider() as started:
        yield started


@dataclass(frozen=True)
class Login:
    """A server that knows the provider."""

    server: Server
    provider: Provider

    def begin(self, target: str = "/projects") -> tuple[str, dict[str, str]]:
        """Where the browser is sent, and the cookie that it keeps meanwhile."""
        answer = self.server.get("/login/openid", params={"next": target})
        assert answer.status_code == 303, answer.text
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "Path=/login/openid" in cookie
        return answer.headers["location"], {FLOW_COOKIE: answer.cookies[FLOW_COOKIE]}

    def finish(self, brought: dict[str, str], cookies: dict[str, str]) -> httpx.Response:
        return self.server.get("/login/openid/callback", params=brought, cookies=cookies)

    def whole(self) -> httpx.Response:
        address, cookies = self.begin()
        return self.finish(self.provider.authorize(address), cookies)

    def me(self, answer: httpx.Response) -> Any:
        (name, value), *_ = ((key, text) for key, text in answer.cookies.items() if key != FLOW_COOKIE)
        return self.server.get("/api/v1/me", cookies={name: value}).json()


@pytest.fixture
def login(provider: Provider, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Login]:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    variables = {
        "WINSLOW_OIDC_ISSUER": provider.issuer,
        "WINSLOW_OIDC_CLIENT_ID": CLIENT,
        "WINSLOW_OIDC_CLIENT_SECRET_FILE": str(secret),
        **getattr(request, "param", {}),
    }
    with in_process(tmp_path / "home", **variables) as server:
        server.installation.accounts.add("anna", role="admin", password=PASSWORD)
        yield Login(server, provider)


def test_a_person_logs_in_through_the_provider_and_lands_on_the_page_that_was_asked_for(login: Login) -> None:
    assert "Log in with 127.0.0.1" in login.server.get("/login").text
    answer = login.whole()
    assert (answer.status_code, answer.headers["location"]) == (303, "/projects")
    assert login.me(answer) == {"name": "ben", "display_name": "Ben B.", "role": "viewer", "proof": "session"}
    again = login.me(login.whole())
    assert again["name"] == "ben"
    assert [each.name for each in login.server.installation.accounts.people()] == ["anna", "ben"]


@pytest.mark.parametrize(
    "login",
    [{"WINSLOW_OIDC_ROLE_CLAIM": "groups", "WINSLOW_ROLE_NAMES": "staff=operator,heads=admin"}],
    indirect=True,
)
def test_roles_come_from_a_claim_at_each_log_in(login: Login) -> None:
    for groups, role in (
        (["staff", "choir"], "operator"),
        (["heads", "staff"], "admin"),
        ([], "viewer"),
        ("staff", "operator"),
    ):
        login.provider.claims["groups"] = groups
        assert login.me(login.whole())["role"] == role


def test_what_is_wrong_with_an_identity_is_found(login: Login) -> None:
    now = int(time.time())
    wrong: list[dict[str, Any]] = [
        {"iss": "http://evil.example"},
        {"aud": "another"},
        {"aud": ["winslow", "another"], "azp": "another"},
        {"exp": now - 3600},
        {"nonce": "another"},
        {"nbf": now + 3600},
        {"preferred_username": ""},
        {"preferred_username": "../anna"},
        {"preferred_username": "<script>"},
    ]
    for claims in wrong:
        login.provider.claims = claims
        answer = login.whole()
        assert answer.status_code in {401, 422}, claims
        assert "<script>" not in answer.text
    login.provider.claims = {}
    for name in ("iss", "aud", "exp", "sub", "nonce"):
        login.provider.left_out = {name}
        assert login.whole().status_code == 401, name
    assert [each.name for each in login.server.installation.accounts.people()] == ["anna"]


def test_a_token_that_the_provider_has_not_signed_is_refused(login: Login) -> None:
    own = login.provider.key

    def signed(header: dict[str, Any], key: Any, nonce: str) -> str:
        claims = {"iss": login.provider.issuer, "aud": CLIENT, "sub": "17", "exp": time.time() + 300, "nonce": nonce}
        claims["preferred_username"] = "eve"
        return jwt.encode(header, claims, key, algorithms=[header["alg"]])

    def unsigned(nonce: str) -> str:
        token = signed({"alg": "RS256"}, own, nonce)
        head = base64.urlsafe_b64encode(json.dumps({"alg": "none"}).encode()).decode().rstrip("=")
        return f"{head}.{token.split('.')[1]}."

    public = own.as_pem(private=False)
    makers = [
        lambda nonce: signed({"alg": "RS256"}, RSAKey.generate_key(2048), nonce),
        lambda nonce: signed({"alg": "ES256"}, ECKey.generate_key("P-256"), nonce),
        # The public key, which everybody has, as the secret of a symmetric signature.
        lambda nonce: signed({"alg": "HS256"}, OctKey.import_key(base64.b64encode(public)), nonce),
        lambda nonce: signed({"alg": "HS256"}, OctKey.import_key(SECRET * 2), nonce),
        unsigned,
        lambda nonce: signed({"alg": "RS256"}, own, nonce)[:-4] + "AAAA",
        lambda _nonce: "not a token",
        lambda _nonce: "",
    ]
    for make in makers:
        address, cookies = login.begin()
        brought = login.provider.authorize(address)
        login.provider.raw_token = make(login.provider.codes[brought["code"]]["nonce"]) or "."
        assert login.finish(brought, cookies).status_code == 401
    assert [each.name for each in login.server.installation.accounts.people()] == ["anna"]


def test_a_provider_that_changes_its_keys_is_asked_again(login: Login) -> None:
    assert login.whole().status_code == 303
    login.provider.key = ECKey.generate_key("P-256")
    login.provider.header = {"alg": "ES256"}
    assert login.whole().status_code == 303


def test_only_the_browser_that_began_a_log_in_finishes_it(login: Login) -> None:
    address, cookies = login.begin()
    brought = login.provider.authorize(address)
    _, others = login.begin()
    for wrong in ({}, others, {FLOW_COOKIE: "zz"}, {FLOW_COOKIE: b"[]".hex()}, {FLOW_COOKIE: b'["a"]'.hex()}):
        answer = login.finish(brought, wrong)
        assert answer.status_code == 401
        assert "not begun in this browser" in answer.text
    assert login.finish({**brought, "state": "x"}, cookies).status_code == 401
    assert login.finish(brought, cookies).status_code == 303
    assert login.finish(brought, cookies).status_code == 401, "a code works once"


def test_a_refusal_of_the_provider_is_told_as_text(login: Login) -> None:
    address, cookies = login.begin()
    state = login.provider.authorize(address)["state"]
    answer = login.finish({"error": "access_denied", "error_description": "<b>no</b>", "state": state}, cookies)
    assert answer.status_code == 401
    assert "&lt;b&gt;no&lt;/b&gt;" in answer.text


def test_a_person_with_a_password_is_not_taken_over_by_a_name_of_the_provider(login: Login) -> None:
    login.provider.claims = {"preferred_username": "anna", "sub": "18"}
    answer = login.whole()
    assert answer.status_code == 401
    assert "winslow user subject anna" in answer.text
    login.server.installation.accounts.set_subject("anna", f"{login.provider.issuer} 18")
    assert login.me(login.whole())["name"] == "anna"


def test_a_disabled_person_stays_out(login: Login) -> None:
    assert login.whole().status_code == 303
    login.server.installation.accounts.disable("ben")
    assert login.whole().status_code == 401


def test_a_provider_that_does_not_answer_leaves_the_other_ways_in(tmp_path: Path) -> None:
    variables = {"WINSLOW_OIDC_ISSUER": "http://127.0.0.1:9", "WINSLOW_OIDC_CLIENT_ID": CLIENT}
    with in_process(tmp_path, **variables) as server:
        server.installation.accounts.add("anna", role="admin", password=PASSWORD)
        answer = server.get("/login/openid")
        assert answer.status_code == 503
        assert 'name="password"' in answer.text
        assert server.post("/login", data={"name": "anna", "password": PASSWORD}).status_code == 303


def test_without_a_provider_there_is_no_such_log_in(tmp_path: Path) -> None:
    with in_process(tmp_path) as server:
        server.installation.accounts.add("anna", role="admin", password=PASSWORD)
        assert "Log in with" not in server.get("/login").text
        assert server.get("/login/openid").status_code == 404
