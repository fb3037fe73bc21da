"""The description of the REST API is true: whatever schemathesis makes of it, the answers are as it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from project_server import Server, running
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from winslow_dagster.errors import StageFailed

EXAMPLES = 15
"""Requests to each route that schemathesis makes up, each sent again with names that exist."""
SLOW = {"/api/v1/findings"}
"""Takes seconds; has no parameters."""
REFUSED = {
    "GET /api/v1/people/{name}",
    "GET /api/v1/pipelines/{name}/changes",
    "GET /api/v1/pool/{name}/filmstrip",
    "GET /api/v1/pool/{name}/footage",
    "GET /api/v1/pool/{name}/frames",
    "GET /api/v1/pool/{name}/picture",
    "GET /api/v1/pool/{name}/proxy",
    "GET /api/v1/pool/{name}/proxy/film",
    "GET /api/v1/projects/{project}/chart",
    "GET /api/v1/projects/{project}/filmstrip",
    "GET /api/v1/projects/{project}/footage",
    "GET /api/v1/projects/{project}/frames",
    "GET /api/v1/projects/{project}/pictures",
    "GET /api/v1/projects/{project}/proxy",
    "GET /api/v1/projects/{project}/proxy/film",
    "GET /api/v1/projects/{project}/questions/{stage}",
    "GET /api/v1/projects/{project}/questions/{stage}/image",
    "GET /api/v1/projects/{project}/questions/{stage}/proposals",
    "GET /api/v1/projects/{project}/runs/{run_id}",
    "GET /api/v1/projects/{project}/shapes",
    "GET /api/v1/projects/{project}/table",
    "GET /api/v1/projects/{project}/tracks",
    "GET /api/v1/uploads/{upload}",
}
"""What is read by something that nobody makes up: the digest of a version, a name that is not a pipeline's, an id,
the path of a file or of a film. The known project asks nothing."""
KNOWN = {"project": "known", "stage": "only", "name": "quick", "path": "score.txt", "sweep": "latest"}
KNOWN_IN_QUERY = {"attempts": ["known:only:1", "known:only:1"], "projects": ["known"], "file": "score.txt"}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("openapi")) as server:
        server.open_gate()
        server.winslow.run("quick", "known", tags=["one"], reason="to look").wait()
        for run in server.winslow.project("known").sweep("only", {"SCORE": ["2"]}):
            run.ended()
        keep_in_pool(server)
        yield server


def keep_in_pool(server: Server) -> None:
    """A file of the pool with a known name. Some routes remove or rename it."""
    pool, path = server.winslow.pool, server.place.folder / KNOWN["path"]
    if KNOWN["name"] not in pool.names():
        path.write_text("1\n")
        pool.add(path, KNOWN["name"])


def new_token(server: Server) -> dict[str, str]:
    """A new one for each route: one of them deletes tokens."""
    accounts = server.winslow.accounts
    if "bruno" not in {each.name for each in accounts.people()}:
        accounts.add("bruno", role="admin")
    return {"Authorization": f"Bearer {accounts.create_token('bruno', 'tests').key}"}


@pytest.fixture
def token(server: Server) -> dict[str, str]:
    return new_token(server)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_answer_is_as_described(server: Server, token: dict[str, str]) -> None:
    address = server.place.services.address
    described = schemathesis.openapi.from_dict(
        httpx.get(f"{address}/api/v1/openapi.json", headers=token, timeout=None).json()
    )
    described.config.update(base_url=address)
    wrong, refused = {}, set()
    for operation in (found.ok() for found in described.get_all_operations()):
        if operation.path in SLOW:
            continue
        try:
            if not any(200 <= status < 300 for status in statuses(operation, new_token(server))):
                refused.add(operation.label)
        except* AssertionError as group:
            wrong[operation.label] = group
        # One of the routes deletes it, and others do the same to the file.
        server.winslow.project("known").restore()
        keep_in_pool(server)
    assert not wrong, "\n\n".join(f"{label}: {shown(group)}" for label, group in wrong.items())
    # Of a route that always refuses, this would not show whether its answers are as described.
    assert {label for label in refused if label.startswith("GET ")} == REFUSED


def statuses(operation: schemathesis.APIOperation, token: dict[str, str]) -> set[int]:
    """Send made-up requests, and each again with names that exist. Returns the statuses of the answers."""
    found = set()

    @given(case=operation.as_strategy() | operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE))
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    def send(case: schemathesis.Case) -> None:
        found.add(case.call_and_validate(headers=token, checks=CHECKS).status_code)
        known = {name: KNOWN[name] for name in case.path_parameters or {} if name in KNOWN}
        queried = {name: value for name, value in KNOWN_IN_QUERY.items() if name in (case.query or {})}
        if known or {"attempts", "projects"} & set(queried):
            case.path_parameters.update(known)
            case.query.update(queried)
            found.add(case.call_and_validate(headers=token, checks=CHECKS).status_code)

    send()
    return found


def shown(error: BaseException) -> str:
    """What went wrong, with the request that shows it."""
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
    return "\n".join(shown(part) if isinstance(part, BaseExceptionGroup) else str(part)[:2_000] for part in parts)


def test_every_route_describes_its_problems_and_how_to_log_in(server: Server, token: dict[str, str]) -> None:
    address = f"{server.place.services.address}/api/v1/openapi.json"
    assert httpx.get(address).status_code == 401
    described = httpx.get(address, headers=token).json()
    assert described["security"] == [{"token": []}]
    operations = [operation for path in described["paths"].values() for operation in path.values()]
    assert len(operations) > 50
    for operation in operations:
        for status in ("400", "401", "403", "404", "409", "422", "503"):
            content = operation["responses"][status]["content"]
            assert content == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


@pytest.mark.parametrize("path", ["/api/v1/tokens", "/api/v1/sessions"])
def test_a_number_that_no_row_can_have_is_refused(server: Server, token: dict[str, str], path: str) -> None:
    answer = httpx.delete(f"{server.place.services.address}{path}/{10**20}", headers=token)
    assert answer.status_code == 422
    assert "less than or equal to" in answer.json()["what"]


def test_the_example_of_the_page_runs_as_printed(server: Server, token: dict[str, str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "rest.md").read_text()
    (example,) = re.findall(r"^<!-- example -->\n```bash\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    with pytest.raises(StageFailed):
        server.winslow.run("failing", "broken").wait()
    ran = subprocess.run(
        ["sh", "-c", example],
        env={
            "PATH": os.environ["PATH"],
            "WINSLOW_ADDRESS": server.place.services.address,
            "WINSLOW_TOKEN": token["Authorization"].removeprefix("Bearer "),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert [each["project"] for each in json.loads(ran.stdout)["projects"]] == ["broken"]
