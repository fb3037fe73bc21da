"""The routes of agents, behind everything that stands in front of the web server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from in_process import Server, in_process

from winslow_dagster.engines.slurm.agent_keys import AgentKeys
from winslow_dagster.engines.slurm.messages import LARGEST_BYTES, PATH

NODES_URL = "http://cluster.example:3000"
SAID = b'{"serving": 1}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    variables = {"WINSLOW_ENGINE": "slurm", "WINSLOW_CONTROL_PLANE_URL": NODES_URL}
    with in_process(tmp_path_factory.mktemp("agents"), **variables) as server:
        server.installation.accounts.add("anna", role="admin")
        yield server


def tell(server: Server, headers: dict[str, str], *, verb: str = "report", body: bytes = SAID) -> httpx.Response:
    return server.send("POST", f"{PATH}/run.detect.1/1/{verb}", base=NODES_URL, headers=headers, content=body)


def key(server: Server) -> dict[str, str]:
    return {"Authorization": f"Bearer {AgentKeys(server.installation.settings.home).key('run.detect.1', 1)}"}


def test_an_agent_with_its_key_is_heard_at_the_address_of_the_nodes(server: Server) -> None:
    answer = tell(server, key(server))

    assert answer.status_code == 410  # There is no such task any more: its stage shall end.
    assert answer.json()["error"] == "Fenced"


def test_nobody_else_is_heard(server: Server) -> None:
    for headers in ({}, server.token("anna"), {"Authorization": "Bearer x"}, {"Authorization": "Basic x"}):
        assert tell(server, headers).status_code == 401
    elsewhere = server.send("POST", f"{PATH}/run.other.1/1/report", base=NODES_URL, headers=key(server), content=SAID)
    assert elsewhere.status_code == 401


def test_the_key_of_an_agent_opens_nothing_else(server: Server) -> None:
    assert server.get("/api/v1/projects", base=NODES_URL, headers=key(server)).status_code == 401


def test_messages_have_a_largest_size_and_a_shape(server: Server) -> None:
    assert tell(server, key(server), body=b"x" * (LARGEST_BYTES + 1)).status_code == 400
    assert tell(server, key(server), body=b"not json").status_code == 400
    assert tell(server, key(server), verb="dance").status_code == 404


def test_where_stages_run_on_this_machine_there_are_no_agents(tmp_path: Path) -> None:
    with in_process(tmp_path) as server:
        headers = {"Authorization": "Bearer x"}
        answer = server.send("POST", f"{PATH}/run.detect.1/1/report", headers=headers, content=SAID)

    assert answer.status_code == 404
    assert "stages run on this machine" in answer.json()["what"]
