"""Who may use which route: every route of the application against every role.

A new route needs a line here: the least role that may use it. Whether a person may act on a certain project is decided
behind the front door, and tested in tests/accounts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from in_process import OWN_PAGE, Server, in_process
from starlette.types import Receive, Scope, Send

from winslow_dagster.console.caller import ROLES

ANYONE = "anyone"
EXPECTED = {
    # Dagster's web interface has roles of its own: see its tests.
    ("MOUNT", "/dagit"): "viewer",
    ("MOUNT", "/static"): ANYONE,
    # pages
    ("GET", "/"): "viewer",
    ("GET", "/healthz"): ANYONE,
    ("GET", "/login"): ANYONE,
    ("POST", "/login"): ANYONE,
    ("GET", "/login/link"): ANYONE,
    ("POST", "/login/link"): ANYONE,
    ("GET", "/login/openid"): ANYONE,
    ("GET", "/login/openid/callback"): ANYONE,
    ("GET", "/space"): "viewer",
    ("GET", "/space/quotas"): "viewer",
    ("GET", "/projects/{project}/retention"): "viewer",
    ("POST", "/projects/{project}/retention"): "operator",
    ("POST", "/projects/{project}/retention/preview"): "operator",
    ("GET", "/settings/quotas"): "admin",
    ("POST", "/settings/quotas"): "admin",
    ("POST", "/settings/quotas/clear"): "admin",
    ("GET", "/space/rules"): "viewer",
    ("POST", "/space/measure"): "operator",
    ("GET", "/trash"): "viewer",
    ("POST", "/trash/files/{file}/purge"): "admin",
    ("POST", "/trash/files/{file}/restore"): "operator",
    ("GET", "/trash/projects/effect"): "operator",
    ("POST", "/trash/projects/{project}/purge"): "admin",
    ("POST", "/demo"): "operator",
    ("POST", "/logout"): "viewer",
    ("GET", "/live"): "viewer",
    ("GET", "/settings"): "viewer",
    ("POST", "/settings/name"): "viewer",
    ("POST", "/settings/password"): "viewer",
    ("POST", "/settings/sessions/{session_id}/end"): "viewer",
    ("POST", "/settings/sessions/end-others"): "viewer",
    ("POST", "/settings/tokens"): "viewer",
    ("POST", "/settings/tokens/{token_id}/revoke"): "viewer",
    # Only administrators change what is everybody's: that is decided behind the front door.
    ("GET", "/settings/notifications"): "viewer",
    ("POST", "/settings/notifications/add"): "viewer",
    ("POST", "/settings/notifications/address"): "viewer",
    ("POST", "/settings/notifications/remove"): "viewer",
    ("POST", "/settings/notifications/retry"): "viewer",
    ("POST", "/settings/notifications/subscribe"): "viewer",
    ("POST", "/settings/notifications/test"): "viewer",
    ("POST", "/settings/notifications/unsubscribe"): "viewer",
    ("GET", "/settings/links"): "viewer",
    ("POST", "/settings/links/{number}/revoke"): "viewer",
    ("GET", "/settings/people"): "admin",
    ("POST", "/settings/people"): "admin",
    ("POST", "/settings/people/{name}/change"): "admin",
    ("POST", "/settings/people/{name}/disable"): "admin",
    ("POST", "/settings/people/{name}/enable"): "admin",
    ("POST", "/settings/people/{name}/link"): "admin",
    ("POST", "/settings/people/{name}/password"): "admin",
    ("GET", "/settings/variables"): "admin",
    ("POST", "/settings/variables"): "admin",
    ("POST", "/settings/variables/preview"): "admin",
    ("GET", "/settings/retention"): "admin",
    ("POST", "/settings/retention"): "admin",
    ("POST", "/settings/retention/preview"): "admin",
    ("GET", "/audit"): "viewer",
    ("GET", "/compare"): "viewer",
    ("GET", "/compare/chart"): "viewer",
    ("GET", "/compare/find"): "viewer",
    ("GET", "/compare/projects"): "viewer",
    ("GET", "/compare/table"): "viewer",
    ("GET", "/files"): "viewer",
    ("GET", "/machines"): "viewer",
    ("POST", "/machines/{node}/drain"): "admin",
    ("POST", "/machines/{node}/undrain"): "admin",
    ("GET", "/queue"): "viewer",
    ("POST", "/queue/{project}/front"): "operator",
    ("POST", "/queue/{project}/hold"): "operator",
    ("POST", "/queue/{project}/priority"): "operator",
    ("POST", "/queue/{project}/release"): "operator",
    ("GET", "/health"): "viewer",
    ("GET", "/health/findings"): "viewer",
    ("POST", "/ingest/{file}/dismiss"): "operator",
    ("POST", "/ingest/{file}/retry"): "operator",
    ("GET", "/new-project"): "operator",
    ("POST", "/new-project"): "operator",
    ("POST", "/new-project/check"): "operator",
    ("GET", "/pipelines"): "viewer",
    ("GET", "/pipelines/{name}"): "viewer",
    ("GET", "/pool"): "viewer",
    ("GET", "/pool/{name}"): "viewer",
    ("GET", "/pool/{name}/effect"): "operator",
    ("GET", "/pool/{name}/look"): "viewer",
    ("POST", "/pool/{name}/remove"): "operator",
    ("POST", "/pool/{name}/rename"): "operator",
    ("POST", "/pool/{name}/replace"): "operator",
    ("GET", "/projects"): "viewer",
    ("POST", "/projects/acts"): "operator",
    ("GET", "/projects/{name}/picture"): "viewer",
    ("GET", "/projects/{project}"): "viewer",
    ("POST", "/projects/{project}/cancel"): "operator",
    ("GET", "/projects/{project}/disk"): "viewer",
    ("GET", "/projects/{project}/history"): "viewer",
    ("GET", "/projects/{project}/look"): "viewer",
    ("GET", "/projects/{project}/lineage"): "viewer",
    ("POST", "/projects/{project}/notes"): "operator",
    ("POST", "/projects/{project}/pause"): "operator",
    ("POST", "/projects/{project}/pick"): "operator",
    ("POST", "/projects/{project}/pin"): "operator",
    ("GET", "/projects/{project}/questions/{stage}"): "viewer",
    ("POST", "/projects/{project}/questions/{stage}"): "operator",
    ("GET", "/projects/{project}/questions/{stage}/people"): "viewer",
    ("POST", "/projects/{project}/resume"): "operator",
    ("POST", "/projects/{project}/run"): "operator",
    ("GET", "/projects/{project}/sweeps"): "viewer",
    ("GET", "/projects/{project}/sweeps/{sweep}"): "viewer",
    ("GET", "/projects/{project}/stages/{stage}"): "viewer",
    ("GET", "/projects/{project}/stages/{stage}/log"): "viewer",
    ("GET", "/projects/{project}/stages/{stage}/redo"): "operator",
    ("POST", "/projects/{project}/stages/{stage}/redo"): "operator",
    ("POST", "/projects/{project}/stages/{stage}/redo/check"): "operator",
    ("GET", "/projects/{project}/stages/{stage}/replace"): "operator",
    ("GET", "/projects/{project}/stages/{stage}/{tab}"): "viewer",
    ("POST", "/projects/{project}/tags/add"): "operator",
    ("POST", "/projects/{project}/tags/remove"): "operator",
    ("POST", "/projects/{project}/todos"): "operator",
    ("POST", "/projects/{project}/todos/{number}"): "operator",
    ("POST", "/projects/{project}/undismiss"): "operator",
    ("POST", "/projects/{project}/unpin"): "operator",
    ("GET", "/watch-folders"): "operator",
    # Whoever has a link.
    ("GET", "/shared/{key}"): ANYONE,
    ("GET", "/shared/{key}/content"): ANYONE,
    ("HEAD", "/shared/{key}/content"): ANYONE,
    ("POST", "/shares"): "viewer",
    ("POST", "/views"): "viewer",
    ("POST", "/views/delete"): "viewer",
    # REST
    ("GET", "/api/v1/openapi.json"): "viewer",
    # Each agent has a key for its own task.
    ("POST", "/api/node/v1/{task_id}/{submission}/{verb}"): ANYONE,
    ("GET", "/api/v1/health"): "viewer",
    ("GET", "/api/v1/me"): "viewer",
    ("GET", "/api/v1/people"): "viewer",
    ("POST", "/api/v1/people"): "admin",
    ("GET", "/api/v1/people/{name}"): "viewer",
    # Everybody changes himself; the rest is decided behind the front door.
    ("PATCH", "/api/v1/people/{name}"): "viewer",
    ("GET", "/api/v1/groups"): "viewer",
    ("GET", "/api/v1/sessions"): "viewer",
    ("DELETE", "/api/v1/sessions/{session_id}"): "viewer",
    ("GET", "/api/v1/tokens"): "viewer",
    ("POST", "/api/v1/tokens"): "viewer",
    ("DELETE", "/api/v1/tokens/{token_id}"): "viewer",
    ("GET", "/api/v1/projects/{project}/owner"): "viewer",
    ("PUT", "/api/v1/projects/{project}/owner"): "operator",
    ("POST", "/api/v1/acts"): "operator",
    ("GET", "/api/v1/audit"): "viewer",
    ("GET", "/api/v1/channels"): "viewer",
    ("POST", "/api/v1/channels"): "admin",
    ("PATCH", "/api/v1/channels/{name}"): "admin",
    ("DELETE", "/api/v1/channels/{name}"): "admin",
    ("POST", "/api/v1/channels/{name}/test"): "admin",
    ("POST", "/api/v1/me/channels"): "viewer",
    ("PATCH", "/api/v1/me/channels/{name}"): "viewer",
    ("DELETE", "/api/v1/me/channels/{name}"): "viewer",
    ("POST", "/api/v1/me/channels/{name}/test"): "viewer",
    ("GET", "/api/v1/messages"): "viewer",
    ("POST", "/api/v1/messages/retry"): "viewer",
    ("GET", "/api/v1/compare"): "viewer",
    ("GET", "/api/v1/compare/attempts"): "viewer",
    ("GET", "/api/v1/compare/chart"): "viewer",
    ("GET", "/api/v1/compare/files"): "viewer",
    ("GET", "/api/v1/compare/log"): "viewer",
    ("GET", "/api/v1/compare/parameters"): "viewer",
    ("GET", "/api/v1/compare/results"): "viewer",
    ("GET", "/api/v1/compare/stages"): "viewer",
    ("GET", "/api/v1/compare/table"): "viewer",
    ("GET", "/api/v1/counters"): "viewer",
    ("GET", "/api/v1/deleted-projects"): "viewer",
    ("DELETE", "/api/v1/deleted-projects/{project}"): "admin",
    ("GET", "/api/v1/filter-words"): "viewer",
    ("GET", "/api/v1/findings"): "viewer",
    ("GET", "/api/v1/ingest/files"): "operator",
    ("POST", "/api/v1/ingest/files/{file}/dismiss"): "operator",
    ("POST", "/api/v1/ingest/files/{file}/retry"): "operator",
    ("GET", "/api/v1/ingest/folders"): "operator",
    ("GET", "/api/v1/footage-checks"): "viewer",
    ("GET", "/api/v1/needs"): "viewer",
    ("GET", "/api/v1/node-usage"): "viewer",
    ("GET", "/api/v1/nodes"): "viewer",
    ("GET", "/api/v1/nodes/gpu-holds"): "viewer",
    ("GET", "/api/v1/nodes/history"): "viewer",
    ("POST", "/api/v1/nodes/{node}/drain"): "admin",
    ("POST", "/api/v1/nodes/{node}/undrain"): "admin",
    ("GET", "/api/v1/queue"): "viewer",
    ("POST", "/api/v1/queue/{project}/front"): "operator",
    ("POST", "/api/v1/queue/{project}/hold"): "operator",
    ("PUT", "/api/v1/queue/{project}/priority"): "operator",
    ("POST", "/api/v1/queue/{project}/release"): "operator",
    ("GET", "/api/v1/projects/{project}/stages/{stage}/usage"): "viewer",
    ("GET", "/api/v1/pipelines"): "viewer",
    ("GET", "/api/v1/pipelines/{name}"): "viewer",
    ("GET", "/api/v1/pipelines/{name}/changes"): "viewer",
    ("DELETE", "/api/v1/pipelines/{name}/charts"): "operator",
    ("GET", "/api/v1/pipelines/{name}/charts"): "viewer",
    ("PUT", "/api/v1/pipelines/{name}/charts"): "operator",
    ("GET", "/api/v1/pipelines/{name}/source"): "viewer",
    ("GET", "/api/v1/pipelines/{name}/versions"): "viewer",
    ("GET", "/api/v1/pool/{name}/archive"): "viewer",
    ("HEAD", "/api/v1/pool/{name}/archive"): "viewer",
    ("GET", "/api/v1/pool/{name}/files/{path:path}"): "viewer",
    ("HEAD", "/api/v1/pool/{name}/files/{path:path}"): "viewer",
    ("GET", "/api/v1/pool"): "viewer",
    ("POST", "/api/v1/pool"): "operator",
    ("GET", "/api/v1/pool/{name}"): "viewer",
    ("PATCH", "/api/v1/pool/{name}"): "operator",
    ("PUT", "/api/v1/pool/{name}"): "operator",
    ("DELETE", "/api/v1/pool/{name}"): "operator",
    ("GET", "/api/v1/pool/{name}/effect"): "viewer",
    ("GET", "/api/v1/pool/{name}/picture"): "viewer",
    ("GET", "/api/v1/pool/{name}/footage"): "viewer",
    ("GET", "/api/v1/pool/{name}/frames"): "viewer",
    ("GET", "/api/v1/pool/{name}/filmstrip"): "viewer",
    ("GET", "/api/v1/pool/{name}/proxy"): "viewer",
    ("POST", "/api/v1/pool/{name}/proxy"): "viewer",
    ("GET", "/api/v1/pool/{name}/proxy/film"): "viewer",
    ("GET", "/api/v1/pool-trash"): "viewer",
    ("DELETE", "/api/v1/pool-trash/{file}"): "admin",
    ("POST", "/api/v1/pool-trash/{file}/restore"): "operator",
    ("GET", "/api/v1/projects"): "viewer",
    ("POST", "/api/v1/projects"): "operator",
    ("POST", "/api/v1/projects/check"): "operator",
    ("GET", "/api/v1/projects/{project}"): "viewer",
    ("DELETE", "/api/v1/projects/{project}"): "operator",
    ("GET", "/api/v1/projects/{project}/deletion-effect"): "viewer",
    ("POST", "/api/v1/projects/{project}/dismiss"): "operator",
    ("POST", "/api/v1/projects/{project}/restore"): "operator",
    ("POST", "/api/v1/projects/{project}/undismiss"): "operator",
    ("POST", "/api/v1/projects/{project}/answer"): "operator",
    ("GET", "/api/v1/projects/{project}/archive"): "viewer",
    ("HEAD", "/api/v1/projects/{project}/archive"): "viewer",
    ("GET", "/api/v1/projects/{project}/attempts"): "viewer",
    ("GET", "/api/v1/projects/{project}/audit"): "viewer",
    ("POST", "/api/v1/projects/{project}/cancel"): "operator",
    ("GET", "/api/v1/projects/{project}/files"): "viewer",
    ("GET", "/api/v1/projects/{project}/files/{stage}/{path:path}"): "viewer",
    ("HEAD", "/api/v1/projects/{project}/files/{stage}/{path:path}"): "viewer",
    ("GET", "/api/v1/projects/{project}/filmstrip"): "viewer",
    ("GET", "/api/v1/projects/{project}/footage"): "viewer",
    ("GET", "/api/v1/projects/{project}/frames"): "viewer",
    ("PUT", "/api/v1/projects/{project}/files/{stage}/{path:path}"): "operator",
    ("GET", "/api/v1/projects/{project}/history"): "viewer",
    ("GET", "/api/v1/projects/{project}/lineage"): "viewer",
    ("GET", "/api/v1/projects/{project}/notes"): "viewer",
    ("PUT", "/api/v1/projects/{project}/notes"): "operator",
    ("POST", "/api/v1/projects/{project}/pause"): "operator",
    ("GET", "/api/v1/projects/{project}/questions"): "viewer",
    ("GET", "/api/v1/projects/{project}/questions/{stage}"): "viewer",
    ("PUT", "/api/v1/projects/{project}/questions/{stage}/draft"): "operator",
    ("DELETE", "/api/v1/projects/{project}/questions/{stage}/draft"): "operator",
    ("GET", "/api/v1/projects/{project}/questions/{stage}/image"): "viewer",
    ("HEAD", "/api/v1/projects/{project}/questions/{stage}/image"): "viewer",
    ("POST", "/api/v1/projects/{project}/questions/{stage}/answer"): "operator",
    ("POST", "/api/v1/projects/{project}/questions/{stage}/judgement"): "viewer",
    ("GET", "/api/v1/projects/{project}/questions/{stage}/proposals"): "viewer",
    ("POST", "/api/v1/projects/{project}/pick"): "operator",
    ("POST", "/api/v1/projects/{project}/pin"): "operator",
    ("GET", "/api/v1/projects/{project}/pictures"): "viewer",
    ("GET", "/api/v1/projects/{project}/pins"): "viewer",
    ("POST", "/api/v1/projects/{project}/plan"): "operator",
    ("GET", "/api/v1/projects/{project}/proxy"): "viewer",
    # It changes nothing of the project.
    ("POST", "/api/v1/projects/{project}/proxy"): "viewer",
    ("GET", "/api/v1/projects/{project}/proxy/film"): "viewer",
    ("POST", "/api/v1/projects/{project}/redo"): "operator",
    ("POST", "/api/v1/projects/{project}/sweep"): "operator",
    ("GET", "/api/v1/projects/{project}/sweeps"): "viewer",
    ("GET", "/api/v1/projects/{project}/sweeps/{sweep}"): "viewer",
    ("GET", "/api/v1/projects/{project}/stages/{stage}/parameters"): "viewer",
    ("POST", "/api/v1/projects/{project}/resume"): "operator",
    ("GET", "/api/v1/progress"): "viewer",
    ("GET", "/api/v1/projects/{project}/runs/{run_id}"): "viewer",
    ("POST", "/api/v1/projects/{project}/runs/{run_id}/cancel"): "operator",
    ("GET", "/api/v1/projects/{project}/stages/{stage}"): "viewer",
    ("GET", "/api/v1/projects/{project}/stages/{stage}/attempts"): "viewer",
    ("GET", "/api/v1/projects/{project}/stages/{stage}/log"): "viewer",
    ("GET", "/api/v1/projects/{project}/stages/{stage}/log/count"): "viewer",
    ("GET", "/api/v1/projects/{project}/stages/{stage}/log/density"): "viewer",
    ("GET", "/api/v1/projects/{project}/stages/{stage}/log/download"): "viewer",
    ("GET", "/api/v1/projects/{project}/stages/{stage}/log/first-line"): "viewer",
    ("GET", "/api/v1/projects/{project}/stages/{stage}/log/search"): "viewer",
    ("GET", "/api/v1/projects/{project}/chart"): "viewer",
    ("GET", "/api/v1/projects/{project}/shapes"): "viewer",
    ("GET", "/api/v1/projects/{project}/table"): "viewer",
    ("GET", "/api/v1/projects/{project}/tracks"): "viewer",
    ("GET", "/api/v1/projects/{project}/tags"): "viewer",
    ("PUT", "/api/v1/projects/{project}/tags"): "operator",
    ("GET", "/api/v1/projects/{project}/todos"): "viewer",
    ("POST", "/api/v1/projects/{project}/todos"): "operator",
    ("PATCH", "/api/v1/projects/{project}/todos/{number}"): "operator",
    ("POST", "/api/v1/runs"): "operator",
    ("POST", "/api/v1/projects/{project}/unpin"): "operator",
    ("GET", "/api/v1/retention-rules"): "viewer",
    ("PUT", "/api/v1/retention-rules"): "admin",
    ("POST", "/api/v1/retention-rules/preview"): "admin",
    ("GET", "/api/v1/services"): "viewer",
    # Everybody shares what he sees; whose link it is, is decided behind the front door.
    ("GET", "/api/v1/shares"): "viewer",
    ("POST", "/api/v1/shares"): "viewer",
    ("DELETE", "/api/v1/shares/{number}"): "viewer",
    ("DELETE", "/api/v1/quotas"): "admin",
    ("GET", "/api/v1/quotas"): "viewer",
    ("PUT", "/api/v1/quotas"): "admin",
    ("GET", "/api/v1/space"): "viewer",
    ("GET", "/api/v1/space/disks"): "viewer",
    ("POST", "/api/v1/space/measure"): "operator",
    ("GET", "/api/v1/space/rules"): "viewer",
    ("GET", "/api/v1/uploads"): "operator",
    ("OPTIONS", "/api/v1/uploads"): "operator",
    ("POST", "/api/v1/uploads"): "operator",
    ("GET", "/api/v1/uploads/{upload}"): "operator",
    ("HEAD", "/api/v1/uploads/{upload}"): "operator",
    ("PATCH", "/api/v1/uploads/{upload}"): "operator",
    ("DELETE", "/api/v1/uploads/{upload}"): "operator",
    ("GET", "/api/v1/variables"): "viewer",
    ("PUT", "/api/v1/variables"): "admin",
    ("POST", "/api/v1/variables/preview"): "admin",
    ("GET", "/api/v1/versions"): "viewer",
    ("DELETE", "/api/v1/views"): "viewer",
    ("GET", "/api/v1/views"): "viewer",
    ("POST", "/api/v1/views"): "viewer",
}
STREAMS = frozenset({("GET", "/live")})
"""Answers that do not end: those who may use them are not asked to."""


async def dagit(scope: Scope, _receive: Receive, send: Send) -> None:
    """In the place of Dagster's web interface: the log-in is in front of whatever is mounted there."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["winslow.caller"].role.encode()})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with in_process(tmp_path_factory.mktemp("matrix"), dagit) as server:
        for role in ROLES:
            server.installation.accounts.add(role, role=role)
        server.installation.accounts.add("other", role="admin")
        yield server


@pytest.fixture(scope="module")
def tokens(server: Server) -> dict[str, dict[str, str]]:
    """By role, the headers of a program of an administrator, with a token of no higher role."""
    return {role: server.token("other", role) for role in ROLES}


def test_every_route_has_a_line(server: Server) -> None:
    routes = set(server.routes())
    assert sorted(routes - set(EXPECTED)) == [], "add each to EXPECTED, with the least role that may use it"
    assert sorted(set(EXPECTED) - routes) == []


def test_every_route_says_the_role_that_it_needs(server: Server) -> None:
    said = {
        key: route.openapi_extra["x-role"]
        for key, route in server.routes().items()
        if getattr(route, "openapi_extra", None)
    }
    assert said == {key: EXPECTED[key] for key in said}
    assert set(EXPECTED) - set(said) == {("MOUNT", "/dagit"), ("MOUNT", "/static"), ("GET", "/api/v1/openapi.json")}


def ask(server: Server, key: tuple[str, str], **options: object) -> httpx.Response:
    method, path = key
    path = re.sub(r"\{\w+(:path)?\}", "999999", path)  # nothing that is there
    return server.send("GET" if method == "MOUNT" else method, f"{path}/" if method == "MOUNT" else path, **options)


def refused_for_role(answer: httpx.Response) -> bool:
    # An answer to HEAD has no text.
    return answer.status_code == 403 and (answer.request.method == "HEAD" or "needs the role" in answer.text)


@pytest.mark.parametrize("key", EXPECTED, ids=" ".join)
def test_nobody_gets_anything_but_the_log_in(server: Server, key: tuple[str, str]) -> None:
    for headers in ({}, {"Accept": "text/html"}, {"HX-Request": "true"}, {"Cookie": "winslow_00000000=x"}):
        answer = ask(server, key, headers=OWN_PAGE | headers)
        if EXPECTED[key] == ANYONE:
            assert "next=" not in answer.headers.get("location", "")
        elif answer.status_code == 303:
            assert answer.headers["location"].startswith("/login?next=")
            assert key[0] in {"GET", "MOUNT"}
        else:
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("key", EXPECTED, ids=" ".join)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("proof", ["session", "token"])
def test_a_role_gets_what_it_may_and_nothing_else(
    server: Server, tokens: dict[str, dict[str, str]], key: tuple[str, str], role: str, proof: str
) -> None:
    needed = EXPECTED[key]
    allowed = needed == ANYONE or ROLES.index(role) >= ROLES.index(needed)  # type: ignore[arg-type]
    if allowed and key in STREAMS:
        return
    if proof == "session":
        # A new one: some routes end those that are there.
        answer = ask(server, key, headers=OWN_PAGE, cookies=server.cookies(role))
    else:
        answer = ask(server, key, headers=tokens[role])
    if allowed:
        assert "www-authenticate" not in answer.headers
        assert not refused_for_role(answer)
    else:
        assert refused_for_role(answer)


def test_a_websocket_needs_a_log_in_and_a_page_of_this_server(server: Server) -> None:
    assert server.handshake("/dagit/graphql") == 403
    cookies = server.cookies("viewer")
    assert server.handshake("/dagit/graphql", cookies=cookies) == 403
    assert server.handshake("/dagit/graphql", cookies=cookies, headers={"Origin": "http://evil.example"}) == 403
    assert server.handshake("/dagit/graphql", cookies=cookies, headers=OWN_PAGE) == 101
