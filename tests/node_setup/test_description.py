"""How a machine describes itself to Slurm."""

from __future__ import annotations

import pytest

from winslow_dagster.errors import SettingsInvalid
from winslow_dagster.node_setup.description import Description
from winslow_dagster.stages.task.model import NodeGpu


def gpu(index: int, vendor: str, *files: str) -> NodeGpu:
    return NodeGpu(
        uuid=f"{vendor}-{index}", index=index, vendor=vendor, name=vendor, memory_bytes=1 << 34, device_files=files
    )


def machine(*gpus: NodeGpu, tags: tuple[str, ...] = ()) -> Description:
    return Description(name="ulm-1", cpus=16, memory_bytes=64 << 30, gpus=gpus, tags=tags)


def test_a_machine_says_what_it_has() -> None:
    gpus = (gpu(0, "nvidia", "/dev/nvidia0"), gpu(1, "nvidia", "/dev/nvidia1"), gpu(0, "amd", "/dev/dri/renderD128"))

    assert machine(*gpus, tags=("ulm", "fast")).slurmd_conf() == (
        "CPUs=16 RealMemory=62259 Gres=gpu:amd:1,gpu:nvidia:2 "
        "Feature=ulm,fast,winslow.amd.16384MiB,winslow.nvidia.16384MiB"
    )
    assert machine().slurmd_conf() == "CPUs=16 RealMemory=62259"


def test_each_gpu_has_a_line_with_its_device_file_in_the_order_of_the_files() -> None:
    gpus = [gpu(index, "nvidia", f"/dev/nvidia{index}") for index in (10, 2)]

    assert machine(*gpus).gres_conf().splitlines()[1:] == [
        "Name=gpu Type=nvidia File=/dev/nvidia2",
        "Name=gpu Type=nvidia File=/dev/nvidia10",
    ]
    assert [one.index for one in machine(*gpus).usable_gpus] == [2, 10]


def test_an_instance_of_a_gpu_has_all_of_its_device_files() -> None:
    instance = gpu(0, "nvidia", "/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap21", "/dev/nvidia-caps/nvidia-cap22")

    assert machine(instance).gres_conf().splitlines()[1:] == [
        "Name=gpu Type=nvidia MultipleFiles=/dev/nvidia0,/dev/nvidia-caps/nvidia-cap21,/dev/nvidia-caps/nvidia-cap22"
    ]


def test_a_gpu_without_a_device_file_is_not_given_to_slurm() -> None:
    assert machine(gpu(0, "nvidia")).slurmd_conf() == "CPUs=16 RealMemory=62259"


@pytest.mark.parametrize("name", ["", "-ulm", "ulm 1", "ulm[1-2]", "ulm,x", "ulm\n"])
def test_a_name_that_slurm_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(SettingsInvalid, match="letters, digits and hyphens"):
        machine().model_copy(update={"name": name}).checked()


@pytest.mark.parametrize("tag", ["", "a b", "a,b", "a&b", "a=b"])
def test_a_tag_that_slurm_cannot_have_is_refused(tag: str) -> None:
    with pytest.raises(SettingsInvalid, match="the tag"):
        machine(tags=(tag,)).checked()
