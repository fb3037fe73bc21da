"""Logging in and out through the web, and what is served to whom."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from in_process import HERE, OWN_PAGE, PASSWORD, Server, in_process

from winslow_dagster.console.pages.login import safe_next
from winslow_dagster.projects.dagster_api.credential import key_file, write_key

HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "{{7*7}}",
    "%0d%0aSet-Cookie: a=b",
    "\u202e",
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with in_process(tmp_path_factory.mktemp("access")) as server:
        server.installation.accounts.add("anna", role="admin", password=PASSWORD, display_name="Anna Maier")
        server.installation.accounts.add("ben", role="viewer")
        yield server


@pytest.fixture
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with in_process(tmp_path_factory.mktemp("first")) as server:
        yield server


def test_without_a_log_in_a_page_leads_to_the_log_in_and_a_program_gets_a_problem(shared: Server) -> None:
    page = shared.get("/projects?filter=a b&x=/", headers={"Accept": "text/html"})
    assert page.status_code == 303
    assert page.headers["location"] == f"/login?next={quote('/projects?filter=a%20b&x=/', safe='/')}"
    problem = shared.get("/api/v1/me")
    assert (problem.status_code, problem.json()["error"]) == (401, "NotLoggedIn")
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.headers["www-authenticate"] == "Bearer"
    part = shared.get("/settings", headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["hx-refresh"]) == (401, "true")
    assert shared.post("/logout").status_code == 401


def test_only_the_log_in_its_files_and_the_health_check_are_served_to_everybody(shared: Server) -> None:
    login = shared.get("/login")
    assert login.status_code == 200
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', login.text):
        assert shared.get(address).status_code == 200
    health = shared.get("/healthz")
    assert (health.status_code, health.text) == (200, "ok\n")
    for path in (
        "/login/../settings",
        "/static/../settings",
        "//settings",
        "/LOGIN",
        "/login%2f..%2fsettings",
        "/healthz/x",
    ):
        assert shared.get(path, headers={"Accept": "application/json"}).status_code in {401, 404}, path


def test_name_and_password_log_in_and_lead_to_the_page_that_was_asked_for(shared: Server) -> None:
    form = {"name": "anna", "password": PASSWORD, "next": "/settings?tab=x"}
    answer = shared.post("/login", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings?tab=x")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie
    (name, value), *_ = answer.cookies.items()
    page = shared.get("/settings", cookies={name: value})
    assert page.status_code == 200
    assert "Anna Maier" in page.text
    assert page.headers["cache-control"] == "no-store"
    out = shared.post("/logout", cookies={name: value})
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert "Max-Age=0" in out.headers["set-cookie"]
    assert shared.get("/api/v1/me", cookies={name: value}).status_code == 401


def test_a_wrong_password_is_told_on_the_page_without_the_password(shared: Server) -> None:
    answer = shared.post("/login", data={"name": "anna", "password": "wrong-password-here"}, peer="10.9.9.1")
    assert answer.status_code == 401
    assert "Name or password is wrong" in answer.text
    assert 'value="anna"' in answer.text
    assert "wrong-password-here" not in answer.text
    assert "set-cookie" not in answer.headers


def test_who_guesses_has_to_wait_and_is_told_how_long(shared: Server) -> None:
    for _ in range(5):
        assert shared.post("/login", data={"name": "guessed", "password": "x"}, peer="10.9.9.2").status_code == 401
    answer = shared.post("/login", data={"name": "guessed", "password": "x"}, peer="10.9.9.2")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert "Too many failed tries" in answer.text


@pytest.mark.parametrize(
    "target",
    [
        *("//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example"),
        *("javascript:alert(1)", "http:evil.example", "evil.example", "", "/\t/evil.example", "/\n/evil.example"),
        *("/login", "/login?next=/login", "/login/link?key=x", "/" + "a" * 3000, "/x\\..\\y", " /x", "/\u2028x"),
    ],
)
def test_the_log_in_leads_to_no_other_site(shared: Server, target: str) -> None:
    assert safe_next(target) == "/"
    answer = shared.post("/login", data={"name": "anna", "password": PASSWORD, "next": target})
    assert answer.headers["location"] == "/"
    shown = shared.get("/login", params={"next": target}).text
    assert 'name="next" value="/"' in shown


@pytest.mark.parametrize("target", ["/", "/projects?a=b&c=d", "/projects/ulm-07/stages/detect?tab=log#L5", "/a%2Fb"])
def test_a_path_of_this_server_is_kept(target: str) -> None:
    assert safe_next(target) == target


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_stranger_sends_is_never_markup(shared: Server, text: str) -> None:
    answers = [
        shared.get("/login", params={"next": "/" + text}),
        shared.post("/login", data={"name": text, "password": text, "next": text}, peer="10.9.9.3"),
        shared.get("/login/link", params={"key": text}),
        shared.post("/login/link", data={"key": text, "name": text}),
        shared.get("/login/openid/callback", params={"error_description": text, "state": text}),
    ]
    for answer in answers:
        assert answer.status_code < 500
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
        assert "49" not in re.sub(r"/static/\w+/", "", answer.text).replace(html.escape(text), "")
        assert "a=b" not in answer.headers.get("set-cookie", "")


@pytest.mark.parametrize("text", ["<b>bold</b>", "\"'><img src=x onerror=alert(1)>", "{{7*7}}"])
def test_names_labels_and_browsers_are_shown_as_text(shared: Server, text: str) -> None:
    accounts = shared.installation.accounts
    accounts.set_display_name("ben", text)
    accounts.create_token("ben", text)
    form = {"name": "anna", "password": PASSWORD}
    shared.post("/login", data=form, headers={"User-Agent": text.encode("latin-1", "replace").decode("latin-1")})
    for path, name in (("/settings", "ben"), ("/settings", "anna"), ("/settings/people", "anna")):
        page = shared.get(path, cookies=shared.cookies(name)).text
        assert "<b>bold" not in page
        assert "<img src=x" not in page
        assert html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in page


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_browser_changes_something_only_from_a_page_of_this_server(shared: Server, method: str) -> None:
    cookies = shared.cookies("anna")
    path = "/api/v1/people/nobody"
    refused = shared.send(method, path, cookies=cookies)
    assert refused.status_code == 403
    assert "does not say which page" in refused.json()["detail"]
    for headers in (OWN_PAGE, {"Sec-Fetch-Site": "same-origin"}):
        assert shared.send(method, path, cookies=cookies, headers=headers).status_code in {404, 405, 422}
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert shared.send(method, path, cookies=cookies, headers=headers).status_code == 403
    assert shared.send(method, path, headers=shared.token("anna")).status_code in {403, 404, 405, 422}


def test_the_same_holds_over_plain_http_in_a_network(
    tmp_path: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """There, browsers send no Sec-Fetch headers."""
    del tmp_path
    base = "http://winslow.lan:3000"
    with in_process(tmp_path_factory.mktemp("lan"), WINSLOW_ALLOWED_HOSTS="winslow.lan") as server:
        server.installation.accounts.add("anna", role="admin")
        cookies = server.cookies("anna")

        def act(**headers: str) -> int:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            return server.send(
                "PATCH", "/api/v1/people/anna", base=base, json={}, cookies=cookies, headers=sent
            ).status_code

        assert act(Origin=base) == 200
        assert act() == 403
        assert act(Origin="http://evil.lan:3000") == 403
        assert act(Origin="http://winslow.lan:3001") == 403
        assert act(Origin="null") == 403


def test_over_https_the_cookie_is_secure_and_bound_to_this_host(shared: Server) -> None:
    base = "https://127.0.0.1:3000"
    form = {"name": "anna", "password": PASSWORD}
    answer = shared.send("POST", "/login", base=base, data=form, headers={"Origin": base})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-winslow_")
    assert "Secure" in cookie
    (name, value), *_ = answer.cookies.items()
    assert shared.get("/api/v1/me", base=base, cookies={name: value}).status_code == 200
    planted = {name.removeprefix("__Host-"): value}
    assert shared.get("/api/v1/me", base=base, cookies=planted).status_code == 401


def test_a_token_proves_who_a_program_is_and_makes_no_others(shared: Server) -> None:
    headers = shared.token("anna", "operator")
    assert shared.get("/api/v1/me", headers=headers).json() == {
        "name": "anna",
        "display_name": "Anna Maier",
        "role": "operator",
        "proof": "token",
    }
    for method, path, body in (
        ("POST", "/api/v1/tokens", {"label": "another"}),
        ("PATCH", "/api/v1/people/anna", {"password": "another password"}),
    ):
        assert shared.send(method, path, headers=headers, json=body).status_code == 403
    for wrong in ("Bearer x", "Bearer", "Basic YW5uYTp4", "Bearer \xff", ""):
        answer = shared.get(
            "/api/v1/me", headers={"Authorization": wrong.encode("latin-1")}, cookies=shared.cookies("anna")
        )
        assert answer.status_code == 401


def test_a_key_in_the_home_proves_that_a_program_belongs_to_the_installation(shared: Server) -> None:
    assert shared.get("/api/v1/me", headers={"Authorization": "Bearer "}).status_code == 401
    write_key(shared.installation.settings, "one")
    assert key_file(shared.installation.settings).stat().st_mode & 0o777 == 0o600
    assert shared.get("/api/v1/me", headers={"Authorization": "Bearer one"}).json()["proof"] == "service"
    write_key(shared.installation.settings, "two")
    assert shared.get("/api/v1/me", headers={"Authorization": "Bearer one"}).status_code == 401


def test_a_revoked_session_and_a_disabled_person_are_out_at_once(shared: Server) -> None:
    shared.installation.accounts.add("cleo")
    first, second = shared.cookies("cleo"), shared.cookies("cleo")
    (session,) = [
        each for each in shared.get("/api/v1/sessions", cookies=second).json() if each["user_agent"] == "tests"
    ][1:]
    ended = shared.send("DELETE", f"/api/v1/sessions/{session['id']}", cookies=second, headers=OWN_PAGE)
    assert ended.status_code == 200
    assert shared.get("/api/v1/me", cookies=first).status_code == 401
    assert shared.get("/api/v1/me", cookies=second).status_code == 200
    shared.installation.accounts.disable("cleo")
    assert shared.get("/api/v1/me", cookies=second).status_code == 401


def test_the_first_person_comes_by_a_link_and_chooses_a_password(empty: Server) -> None:
    shown = empty.get("/login")
    assert "winslow login-link" in shown.text
    key = empty.installation.accounts.entry_link()
    page = empty.get("/login/link", params={"key": key})
    assert "become the administrator" in page.text
    short = empty.post("/login/link", data={"key": key, "name": "anna", "password": "short"})
    assert short.status_code == 422
    assert "10 to 200" in short.text
    answer = empty.post("/login/link", data={"key": key, "name": "Anna", "password": PASSWORD})
    assert answer.status_code == 303
    me = empty.get("/api/v1/me", cookies=dict(answer.cookies)).json()
    assert (me["name"], me["role"]) == ("anna", "admin")
    used = empty.get("/login/link", params={"key": key})
    assert used.status_code == 401
    assert "This link has been used" in used.text
    assert empty.post("/login/link", data={"key": key, "name": "eve", "password": PASSWORD}).status_code == 401
    assert empty.installation.accounts.entry_link() is None


def test_opening_a_link_does_not_use_it_up(empty: Server) -> None:
    empty.installation.accounts.add("anna", role="admin")
    key = empty.installation.accounts.entry_link()
    for _ in range(3):
        assert empty.get("/login/link", params={"key": key}).status_code == 200
    shown = empty.get("/login/link", params={"key": key, "next": "/projects/demo"}).text
    assert 'name="next" value="/projects/demo"' in shown
    assert 'value="/"' in empty.get("/login/link", params={"key": key, "next": "//evil.example"}).text
    answer = empty.post("/login/link", data={"key": key, "next": "/projects/demo"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/projects/demo")
    assert empty.post("/login/link", data={"key": key}).status_code == 401


@pytest.mark.parametrize(
    ("peer", "headers", "allowed"),
    [
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("10.0.0.7", {}, False),
        ("127.0.0.1", {"X-Forwarded-For": "10.0.0.7"}, False),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, False),
        ("127.0.0.1", {"Via": "1.1 proxy"}, False),
    ],
)
def test_without_a_password_the_first_person_comes_from_this_machine_only(
    empty: Server, peer: str, headers: dict[str, str], *, allowed: bool
) -> None:
    key = empty.installation.accounts.entry_link()
    page = empty.get("/login/link", params={"key": key}, peer=peer, headers=headers)
    assert ("Continue without a password" in page.text) is allowed
    form = {"key": key, "name": "anna", "without_password": "yes"}
    answer = empty.post("/login/link", data=form, peer=peer, headers=headers)
    assert answer.status_code == (303 if allowed else 422)
    assert bool(empty.installation.accounts.people()) is allowed


def test_what_a_person_does_through_the_web_is_in_the_audit_trail_without_secrets(shared: Server) -> None:
    cookies = shared.cookies("anna")
    created = shared.send(
        "POST", "/api/v1/people", cookies=cookies, headers=OWN_PAGE, json={"name": "dora", "password": PASSWORD}
    )
    assert created.status_code == 201
    key = shared.post("/settings/tokens", cookies=cookies, data={"label": "export", "role": "viewer", "days": "30"})
    token = re.search(r"winslow_[\w-]{40,}", key.text)
    assert token is not None
    entries = shared.installation.audit(who="anna", limit=10)
    assert {entry.action for entry in entries} >= {"person_add", "token_create"}
    assert {(entry.via, entry.host) for entry in entries if entry.action in {"person_add", "token_create"}} == {
        ("console", "127.0.0.1")
    }
    assert PASSWORD not in str(entries)
    assert token[0] not in str(entries)
    assert token[0] not in shared.get("/settings", cookies=cookies).text


def test_an_administrator_manages_people_and_the_last_one_cannot_lock_himself_out(empty: Server) -> None:
    empty.installation.accounts.add("anna", role="admin", password=PASSWORD)
    cookies = empty.cookies("anna")

    def act(path: str, **form: str) -> int:
        return empty.post(path, data=form, cookies=cookies, headers={"HX-Request": "true"}).status_code

    assert act("/settings/people", name="ben", role="operator", password=PASSWORD, groups="ulm, tracking") == 204
    assert empty.installation.accounts.person("ben").groups == ("tracking", "ulm")
    assert act("/settings/people/anna/disable") == 409
    assert act("/settings/people/anna/change", role="viewer") == 409
    assert act("/settings/people/ben/change", role="admin", groups="") == 204
    assert act("/settings/people/ben/password", password="another password") == 204
    assert act("/settings/people/ben/disable") == 204
    assert act("/settings/people/ben/enable") == 204
    link = empty.post("/settings/people/ben/link", cookies=cookies)
    assert f"{HERE}/login/link?key=" in link.text
    assert act("/settings/password", current="wrong password", password="another password") == 401
    assert act("/settings/password", current=PASSWORD, password="another password") == 204
    assert empty.get("/api/v1/me", cookies=cookies).status_code == 200
