"""An installation whose stages run on a Slurm cluster of this machine: settings, node files, and the agents' routes."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn
from fastapi import FastAPI
from patience import until
from slurm_cluster import NODES, SlurmCluster
from starting_place import ROOT

from winslow_dagster.console.problems import register_problems
from winslow_dagster.console.rest import agents
from winslow_dagster.engines.slurm.commands import cancel_job
from winslow_dagster.engines.slurm.engine import AGENT, SlurmEngine
from winslow_dagster.engines.slurm.messages import PATH
from winslow_dagster.engines.slurm.node_facts import NodeFacts
from winslow_dagster.settings import Settings
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import NodeGpu

GPUS = {
    "s1": tuple(
        NodeGpu(uuid=f"GPU-{index}", index=index, vendor="nvidia", name="N1", memory_bytes=24 << 30)
        for index in range(2)
    ),
    "s2": (NodeGpu(uuid="amd-0", index=0, vendor="amd", name="A1", memory_bytes=16 << 30),),
}
"""The cluster's, as its nodes' files have them."""


@dataclass(frozen=True)
class SlurmInstallation:
    """The control plane of a test. `server` can be stopped and started: agents then wait."""

    settings: Settings
    engine: SlurmEngine
    cluster: SlurmCluster
    server: AgentServer

    def node_dir(self, node: str) -> Path:
        return self.settings.home / "nodes" / node

    def serving(self, task_id: str, number: int) -> TaskDirectory:
        """Where a serving works, on whatever node."""
        found = list((self.settings.home / "nodes").glob(f"*/tasks/{task_id}.s{number}"))
        return TaskDirectory(found[0] if found else self.settings.home / "nowhere")

    def jobs(self, *columns: str) -> list[str]:
        """A line per job of this installation."""
        prefix = self.engine._job_name("")  # tests look into the queue as people would
        lines = self.cluster.slurm("squeue", "--noheader", "--all", f"--format=%j|{' '.join(columns or ('%A',))}")
        return [line.partition("|")[2] for line in lines.splitlines() if line.startswith(prefix)]

    def end_jobs(self) -> None:
        for job in self.jobs():
            for options in ("--full", "--signal=KILL"), ():
                cancel_job(job, *options)
        until("no job is left", lambda: not self.jobs())


class AgentServer:
    """The routes of agents at an address of this machine; the whole web server has them, too."""

    def __init__(self, engine: SlurmEngine, port: int, certificate: Certificate | None = None) -> None:
        self._app = FastAPI()
        self._app.state.installation = SimpleNamespace(agent_desk=engine.agent_desk())
        register_problems(self._app)
        self._app.include_router(agents.room, prefix=PATH)
        self._port = port
        self._certificate = certificate
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        config = uvicorn.Config(self._app, host="127.0.0.1", port=self._port, log_level="warning", lifespan="off")
        if self._certificate is not None:
            config.ssl_certfile, config.ssl_keyfile = str(self._certificate.file), str(self._certificate.key)
        server = uvicorn.Server(config)
        self._server, self._thread = server, threading.Thread(target=server.run, daemon=True)
        self._thread.start()
        until("the server answers", lambda: server.started)

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = self._server.force_exit = True
            self._thread.join()
            self._server = None


@dataclass(frozen=True)
class Certificate:
    """A server's certificate and key, and the certificate of the authority that signed it, as PEM files."""

    file: Path
    key: Path
    authority: Path


def certificate(directory: Path, address: str) -> Certificate:
    """Of a server at an IP address, from an authority of its own, as somebody makes them with openssl."""
    authority, authority_key = directory / "ca.pem", directory / "ca.key"
    file, key, request, names = (directory / f"web.{ending}" for ending in ("pem", "key", "csr", "ext"))
    names.write_text(f"subjectAltName=IP:{address}\n")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    signed = ("-CA", authority, "-CAkey", authority_key, "-CAcreateserial", "-extfile", names)
    for words in (
        ("req", "-x509", *new_key, "-subj", "/CN=ours", "-out", authority, "-keyout", authority_key),
        ("req", "-new", *new_key, "-subj", "/CN=winslow", "-out", request, "-keyout", key),
        ("x509", "-req", "-in", request, *signed, "-out", file),
    ):
        subprocess.run(["openssl", *words], check=True, capture_output=True)
    return Certificate(file, key, authority)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def python_with_tests(home: Path) -> Path:
    """A Python interpreter that finds the modules of the tests."""
    paths = os.pathsep.join(map(str, (Path(__file__).parent, ROOT / "tests", ROOT)))
    script = home / "python"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(paths)} exec {shlex.quote(sys.executable)} "$@"\n')
    script.chmod(0o755)
    return script


def write_facts(settings: Settings, node: str, gpus: tuple[NodeGpu, ...] = (), *, trusting: bool = True) -> None:
    """The file that a node gets when it joins. The nodes of a test have them in one directory."""
    home = settings.home
    NodeFacts(
        node_dir=home / "nodes" / node,
        python=python_with_tests(home),
        control_plane_url=settings.slurm.control_plane_url,
        ca_file=settings.slurm.control_plane_ca_file if trusting else None,
        environment={name: value for name, value in os.environ.items() if name.startswith("AWS_")},
        gpus=gpus,
    ).write(home / "facts" / f"{node}.toml")


@contextlib.contextmanager
def slurm_installation(
    cluster: SlurmCluster,
    home: Path,
    *,
    agent: str = AGENT,
    environment: dict[str, str] | None = None,
    tls: Certificate | None = None,
) -> Iterator[SlurmInstallation]:
    port = free_port()
    url = f"{'https' if tls else 'http'}://{cluster.host}:{port}"
    settings = Settings.read(
        {
            "WINSLOW_HOME": str(home),
            "WINSLOW_ENGINE": "slurm",
            "WINSLOW_CONTROL_PLANE_URL": url,
            **({"WINSLOW_CONTROL_PLANE_CA_FILE": str(tls.authority)} if tls else {}),
            "WINSLOW_SLURM_NODE_FILE": str(home / "facts" / "{node}.toml"),
            **(environment or {}),
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        engine = SlurmEngine(settings, agent=agent)
        installation = SlurmInstallation(settings, engine, cluster, AgentServer(engine, port, tls))
        for node in NODES:
            write_facts(settings, node, GPUS.get(node, ()))
        installation.server.start()
        try:
            yield installation
        finally:
            installation.end_jobs()
            installation.server.stop()
