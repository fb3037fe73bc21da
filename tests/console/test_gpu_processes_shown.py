"""Which processes use a GPU, and whose they are, on the page Machines, over REST and in a shell."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvicorn
from accessibility import serious
from every_state import photograph
from installation import free_port
from log_in import log_in
from patience import until

from winslow_dagster.cli.nodes import gpu_lines
from winslow_dagster.console.app import create_app
from winslow_dagster.engines.engine import GpuUsage, Node, NodeGpu
from winslow_dagster.engines.memory import InMemoryEngine
from winslow_dagster.engines.node_usage import GpuProcess
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.installation import Installation
from winslow_dagster.services import Services
from winslow_dagster.settings import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

GIB = 1 << 30
HOSTILE = "<b>miner</b>"
GPUS = tuple(NodeGpu(uuid=f"GPU-{n}", index=n, vendor="nvidia", name="H200", memory_bytes=139 * GIB) for n in range(3))
NODE = Node(name="ulm-1", cpus=8, memory_bytes=64 * GIB, gpus=GPUS)
USES = (
    GpuUsage(
        uuid="GPU-0",
        used_percent=80.0,
        memory_used_bytes=5.0 * GIB,
        temperature_c=70.0,
        processes=(
            GpuProcess(pid=11, program="python3", memory_bytes=4 * GIB, project="ulm-07", stage="detect", attempt=2),
            GpuProcess(pid=12, program=HOSTILE, memory_bytes=GIB),
            GpuProcess(pid=13),
        ),
    ),
    GpuUsage(uuid="GPU-1", used_percent=0.0),
    GpuUsage(uuid="GPU-2", used_percent=0.0, processes=()),
)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Those of a web server whose one node has GPUs in use."""
    home, pipelines = tmp_path / "home", tmp_path / "pipelines"
    home.mkdir()
    pipelines.mkdir()
    settings = Settings.read(
        {"WINSLOW_HOME": str(home), "WINSLOW_PIPELINES_DIR": str(pipelines), "WINSLOW_PORT": str(free_port())}
    )
    engine = InMemoryEngine((NODE,))
    engine.gpu_uses = {"ulm-1": USES}
    with Installation(settings, Services(settings), Actor("anna"), engine=engine) as installation:
        app = create_app(installation)
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=settings.port, log_level="warning"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        until("the server answers", lambda: server.started)
        yield settings
        server.should_exit = server.force_exit = True
        thread.join()


def test_rest_has_the_processes_of_each_gpu_and_null_where_they_are_unknown(settings: Settings) -> None:
    request = urllib.request.Request(f"{settings.address}/api/v1/node-usage", headers=log_in(settings, "viewer").header)
    with urllib.request.urlopen(request) as answer:
        (usage,) = json.load(answer)

    first, second, third = (gpu["processes"] for gpu in usage["gpus"])
    assert first[0] == {
        "pid": 11,
        "program": "python3",
        "memory_bytes": 4 * GIB,
        "project": "ulm-07",
        "stage": "detect",
        "attempt": 2,
    }
    assert first[1]["project"] == ""
    assert (second, third) == (None, [])


def test_a_shell_has_a_line_for_each_process() -> None:
    usage = InMemoryEngine((NODE,))
    usage.gpu_uses = {"ulm-1": USES}

    lines = gpu_lines(NODE, usage.node_usage()[0])

    assert lines == (
        "GPU 0: H200, 139 GiB, 80 % busy, 5 GiB in use, 70 °C",
        "GPU 0: process 11, python3, 4 GiB: ulm-07, detect, attempt 2",
        "GPU 0: process 12, <b>miner</b>, 1 GiB: not of Winslow",
        "GPU 0: process 13, an unknown program: not of Winslow",
        "GPU 1: H200, 139 GiB, 0 % busy",
        "GPU 1: which processes use it is unknown",
        "GPU 2: H200, 139 GiB, 0 % busy",
    )


@pytest.mark.chromium
@pytest.mark.slow
def test_the_page_lists_them_under_each_gpu(settings: Settings, browser: Browser) -> None:
    with browser.new_context(base_url=settings.address, bypass_csp=True) as context:
        context.add_cookies([log_in(settings, "viewer").of(settings.address)])  # type: ignore[list-item]
        page = context.new_page()
        page.goto("/machines")
        listed = page.get_by_label("Processes on GPU 0").get_by_role("listitem")
        listed.first.wait_for()

        assert [" ".join(text.split()) for text in listed.all_inner_texts()] == [
            "python3 process 11, 4 GiB: ulm-07, detect, attempt 2",
            "<b>miner</b> process 12, 1 GiB: not of Winslow",
            "unknown program process 13: not of Winslow",
        ]
        assert listed.first.get_by_role("link").get_attribute("href") == "/projects/ulm-07/stages/detect"
        assert page.get_by_text("Which processes use it is unknown.").count() == 1
        assert page.get_by_label("Processes on GPU 2").count() == 0
        assert serious(page) == []
        photograph(page, "machines-gpu-processes")
