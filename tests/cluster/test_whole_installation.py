"""A whole installation on a cluster: what happens to its own processes costs no stage anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from installation import Installation, kill, until
from slurm_cluster import NODES, SlurmCluster

from winslow_dagster import Winslow
from winslow_dagster.engines.slurm.node_facts import NodeFacts
from winslow_dagster.errors import ServiceUnavailable

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

PIPELINE = """\
name: three
command: [/bin/sh, -c]
stages:
  - name: first
    args: ['hostname >"$WINSLOW_OUTPUT_DIR/where"']
    outputs: [where]
  - name: second
    after: [first]
    args:
      - |
        hostname >>{marks}
        until [ -e {go} ]; do sleep 0.1; done
        cat "$WINSLOW_INPUT_DIR/first/where" >"$WINSLOW_OUTPUT_DIR/where"
    outputs: [where]
  - name: third
    after: [second]
    args: ['cp "$WINSLOW_INPUT_DIR/second/where" "$WINSLOW_OUTPUT_DIR"']
    outputs: [where]
"""


@pytest.fixture
def installation(slurm_cluster: SlurmCluster, tmp_path: Path) -> Iterator[Installation]:
    text = PIPELINE.format(marks=tmp_path / "marks", go=tmp_path / "go")
    installation = Installation(tmp_path, None, {"three": text})
    url = f"http://{slurm_cluster.host}:{installation.port}"
    installation.use(
        WINSLOW_ENGINE="slurm",
        WINSLOW_CONTROL_PLANE_URL=url,
        WINSLOW_SLURM_NODE_FILE=str(tmp_path / "{node}.toml"),
        **slurm_cluster.environment,
    )
    python = Path(__file__).parents[2] / ".venv" / "bin" / "python"
    for node in NODES:
        facts = NodeFacts(node_dir=tmp_path / "nodes" / node, python=python, control_plane_url=url)
        facts.write(tmp_path / f"{node}.toml")
    installation.up()
    yield installation
    installation.down()


def test_a_run_goes_on_when_every_process_of_the_control_plane_is_killed(
    installation: Installation, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    winslow = Winslow(installation.settings)
    winslow.run("three", project="ulm")
    until(marks.exists, "the second stage runs")

    kill(installation.run_worker())
    for name in ("daemon", "code-server", "web-server"):
        kill(installation.service(name))
    (tmp_path / "go").touch()

    until(lambda: has_ended(winslow, "ulm"), "the run has ended")
    assert winslow.status("ulm").state == "succeeded"
    assert len(marks.read_text().split()) == 1
    (file,) = winslow.project("ulm").files("third")
    assert file.local_path is not None
    assert file.local_path.read_text().strip() in NODES


def has_ended(winslow: Winslow, project: str) -> bool:
    try:
        return winslow.status(project).state in {"succeeded", "failed", "cancelled"}
    except ServiceUnavailable:
        return False  # The web server is being started again.
