"""Agents on a real cluster who reach the web server by https, whose certificate is from an authority of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_drivers import a_task
from patience import until
from slurm_cluster import NODES, SlurmCluster
from slurm_installation import Certificate, SlurmInstallation, certificate, slurm_installation, write_facts

from winslow_dagster.engines.slurm.agent import LOG_FILE
from winslow_dagster.engines.slurm.messages import greeting
from winslow_dagster.engines.slurm.munge import MungeAway, proof, require_proof
from winslow_dagster.errors import NotLoggedIn
from winslow_dagster.stages.task.model import StageTask

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


@pytest.fixture(scope="module")
def tls(session_slurm_cluster: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("certificates"), session_slurm_cluster.host)


@pytest.fixture
def home(session_slurm_cluster: SlurmCluster, tmp_path: Path, tls: Certificate) -> Iterator[SlurmInstallation]:
    store = {"WINSLOW_STORE_URL": (tmp_path / "store").as_uri()}
    with slurm_installation(session_slurm_cluster, tmp_path, environment=store, tls=tls) as home:
        yield home


def a_stage(home: SlurmInstallation) -> StageTask:
    changes = {"mode": "process", "command": ("echo",), "args": ("hello",), "store_url": home.settings.store_url}
    return a_task().model_copy(update=changes)


def logs(home: SlurmInstallation) -> str:
    """What the agents on all nodes have said."""
    files = (home.node_dir(node) / LOG_FILE for node in NODES)
    return "".join(file.read_text() for file in files if file.exists())


def test_a_stage_runs_over_https_and_what_slurm_sends_gives_nobody_its_order(home: SlurmInstallation) -> None:
    task = a_stage(home)
    home.engine.submit(task)

    result = home.engine.wait(task.task_id, timeout_s=600).result

    assert result is not None
    assert result.outcome == "succeeded", result.message
    assert [line.text for line in home.engine.log(task.task_id).lines() if line.stream != "winslow"] == ["hello"]
    key = home.engine._keys.key(task.task_id, 1)
    kept = home.cluster.directory / "state"
    assert not [file for file in kept.rglob("*") if file.is_file() and key.encode() in file.read_bytes()]


def test_an_agent_tells_nothing_to_a_server_whose_certificate_it_does_not_trust(home: SlurmInstallation) -> None:
    for node in NODES:
        write_facts(home.settings, node, trusting=False)
    task = a_stage(home)

    home.engine.submit(task)

    until("an agent says why it waits", lambda: "certificate verify failed" in logs(home))
    assert home.engine.status(task.task_id).result is None
    for node in NODES:
        write_facts(home.settings, node)
    home.end_jobs()
    while (state := home.engine.wait(task.task_id, timeout_s=600)).result is None:
        home.engine.submit(task)
    assert state.result.outcome == "succeeded", state.result.message


def test_a_proof_is_for_one_submission_and_is_accepted_once(home: SlurmInstallation) -> None:
    del home  # Its settings tell munge's commands where the cluster's daemon is.
    given = proof(greeting("run.detect.1", 1))

    require_proof(given, greeting("run.detect.1", 1))

    with pytest.raises(NotLoggedIn, match="Replayed credential"):
        require_proof(given, greeting("run.detect.1", 1))
    with pytest.raises(NotLoggedIn, match="of another user, or for another task"):
        require_proof(proof(greeting("run.detect.1", 1)), greeting("run.detect.1", 2))
    with pytest.raises(NotLoggedIn, match="not one of munge"):
        require_proof("nonsense", greeting("run.detect.1", 1))


def test_whoever_cannot_ask_munge_may_ask_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    conf = tmp_path / "slurm.conf"
    conf.write_text(f"AuthType=auth/munge\nAuthInfo=ttl=60,socket={tmp_path}/nowhere\n")
    monkeypatch.setenv("SLURM_CONF", str(conf))

    with pytest.raises(MungeAway, match="nowhere"):
        proof("text")
    with pytest.raises(MungeAway, match="nowhere"):
        require_proof("MUNGE:x:", "text")
