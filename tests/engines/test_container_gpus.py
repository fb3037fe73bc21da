from __future__ import annotations

import json
from pathlib import Path

import pytest

from winslow_dagster.engines.container_gpus import look, read_cdi
from winslow_dagster.stages.task.model import NodeGpu

NVIDIA = NodeGpu(uuid="GPU-0", index=0, vendor="nvidia", name="H200", memory_bytes=139 << 30)


def test_the_devices_of_every_specification_are_listed_once(tmp_path: Path) -> None:
    nvidia = {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [{"name": "0"}, {"name": "all"}]}
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "nvidia.yaml").write_text("kind: nvidia.com/gpu\ndevices:\n- name: '0'\n- name: '1'\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "nvidia.json").write_text(json.dumps(nvidia))
    (tmp_path / "run" / "README").write_text("not one")

    devices, notes = read_cdi((tmp_path / "etc", tmp_path / "run", tmp_path / "gone"))

    assert devices == ("nvidia.com/gpu=0", "nvidia.com/gpu=1", "nvidia.com/gpu=all")
    assert notes == ()


@pytest.mark.parametrize("text", ["kind: [", "- a list", "kind: nvidia.com/gpu", "\0"])
def test_a_broken_specification_is_reported_and_the_others_are_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_text("kind: amd.com/gpu\ndevices: [{name: '0'}]\n")

    devices, notes = read_cdi((tmp_path,))

    assert devices == ("amd.com/gpu=0",)
    (note,) = notes
    assert note.startswith(f"the CDI specification {tmp_path / 'a.yaml'} cannot be read: ")


@pytest.mark.docker
def test_docker_without_a_runtime_for_the_gpus_is_reported_with_the_remedy(tmp_path: Path) -> None:
    found = look((NVIDIA,), (tmp_path,))

    assert found.docker.startswith("Docker, API ")
    assert "runc" in found.runtimes
    assert ("nvidia" in found.runtimes) != any(
        note.startswith("containers cannot use the NVIDIA GPUs") for note in found.notes
    )
    assert look((), (tmp_path,)).notes == ()


def test_a_machine_without_docker_has_no_runtimes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")

    assert look((NVIDIA,), (tmp_path,)) == look((), (tmp_path,))
    assert look((NVIDIA,), (tmp_path,)).docker == ""
