"""Slow queries to Dagster keep nobody from our pages."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from installation import until
from web_server import serving

from winslow_dagster.services.socket_probe import listens

PROGRAM = Path(__file__).with_name("programs") / "workspace_that_waits.py"
SELECTOR = '{sensorName: "wait", repositoryName: "__repository__", repositoryLocationName: "waits"}'
DAGIT_THREADS = 40
WAITING = 60
"""More than Dagster's web interface has threads."""


def dry_run(cursor: str) -> str:
    """A mutation that takes as long as the sensor."""
    result = "... on DryRunInstigationTick { evaluationResult { skipReason error { message } } }"
    return f"mutation {{ sensorDryRun(selectorData: {SELECTOR}, cursor: {cursor}) {{ {result} }} }}"


@contextlib.contextmanager
def code_server(gate: Path, socket: Path) -> Iterator[None]:
    """A code server on its own: one that the web server has started would end while it is too busy for heartbeats."""
    program = [
        sys.executable,
        "-m",
        "dagster",
        "api",
        "grpc",
        "--socket",
        str(socket),
        "--max-workers",
        str(2 * WAITING),
    ]
    with subprocess.Popen(
        [*program, "--location-name", "waits", "-f", str(PROGRAM)],
        env={**os.environ, "GATE": str(gate)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            until(lambda: listens(socket) or process.poll() is not None, "the code server listens")
            assert process.poll() is None
            yield
        finally:
            process.terminate()


@pytest.mark.slow
def test_pages_answer_while_every_thread_of_dagit_waits(tmp_path: Path) -> None:
    gate, socket = tmp_path / "gate", tmp_path / "code.sock"
    workspace = f"load_from:\n  - grpc_server: {{socket: {socket}, location_name: waits}}\n"
    with (
        code_server(gate, socket),
        serving(tmp_path / "home", workspace, DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS="600") as console,
    ):
        loaded = "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } } }"
        until(lambda: "RepositoryLocation" in str(console.ask(loaded)), "the code location is loaded")
        before = psutil.Process(console.process.pid).num_threads()
        answers: list[str] = []

        def ask() -> None:
            try:
                answers.append(str(console.ask(dry_run(cursor="null"))))
            except urllib.error.HTTPError as error:
                with error:
                    answers.append(str(error.code))

        # The first one creates the tables of Dagster's instance; sixty at once would lock each other out.
        assert "the gate is open" in str(console.ask(dry_run(cursor='"now"')))
        waiting = [threading.Thread(target=ask) for _ in range(WAITING)]
        for thread in waiting:
            thread.start()
        try:
            full = before + DAGIT_THREADS - 10  # some threads were there already
            server = psutil.Process(console.process.pid)
            until(lambda: server.num_threads() >= full or bool(answers), "every thread of Dagit waits")
            for path in ("/", "/audit", "/api/v1/health"):
                with urllib.request.urlopen(f"{console.address}{path}") as response:
                    assert response.status == 200
            with urllib.request.urlopen(f"{console.address}/live") as stream:
                assert stream.readline()
            assert answers == []
        finally:
            gate.touch()
            for thread in waiting:
                thread.join()
        assert len(answers) == WAITING
        assert [answer for answer in answers if "the gate is open" not in answer] == []
