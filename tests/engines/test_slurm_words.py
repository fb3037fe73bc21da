"""What Slurm and node files say is read right, and told in a person's words."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from engine_drivers import a_task

from winslow_dagster.engines.slurm import commands
from winslow_dagster.engines.slurm.cluster_nodes import gres_of
from winslow_dagster.engines.slurm.given_gpus import given_gpus
from winslow_dagster.engines.slurm.job_queue import Job, Look
from winslow_dagster.engines.slurm.job_request import BASE_PRIORITY, batch_script, sbatch_arguments
from winslow_dagster.engines.slurm.node_facts import FILE_VARIABLE, NodeFacts
from winslow_dagster.engines.slurm.words import waiting_reason
from winslow_dagster.errors import EngineError, SettingsInvalid
from winslow_dagster.pipelines.model.stage_rules import Gpu
from winslow_dagster.settings import SlurmSettings
from winslow_dagster.stages.task.model import PRIORITY_STEP, NodeGpu

GPUS = tuple(NodeGpu(uuid=f"GPU-{n}", index=n, vendor="nvidia", name='N "1"', memory_bytes=1 << 30) for n in range(2))


def a_program(directory: Path, name: str, script: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\n{script}\n")
    (directory / name).chmod(0o755)


@pytest.mark.parametrize(
    ("state", "reason", "starts_at", "said"),
    [
        ("PENDING", "Resources", "N/A", "waits for room: other jobs use what it asks for (job 7)"),
        (
            "PENDING",
            "Priority",
            "2026-11-30T07:00:00",
            "waits for jobs that come before it; Slurm expects it to start at 2026-11-30 07:00:00 (job 7)",
        ),
        (
            "PENDING",
            "(ReqNodeNotAvail, UnavailableNodes:s1)",
            "N/A",
            "waits for nodes that are down, drained or reserved",
        ),
        ("PENDING", "JobHeldAdmin", "N/A", "was held by an administrator of Slurm: scontrol release 7"),
        ("PENDING", "AssocGrpCpuLimit", "N/A", "waits for a limit of Slurm's accounting (AssocGrpCpuLimit)"),
        ("PENDING", "SomethingNew", "N/A", "waits; Slurm says: SomethingNew"),
        ("RUNNING", "None", "N/A", "its agent starts on s1"),
        ("SUSPENDED", "None", "N/A", "its job was suspended on s1: scontrol resume 7"),
        ("SIGNALING", "None", "N/A", "its job is signaling in Slurm"),
    ],
)
def test_a_job_that_waits_says_why(state: str, reason: str, starts_at: str, said: str) -> None:
    assert said in waiting_reason(Job("7", state, reason, "s1", starts_at, "name"))


def test_a_job_is_found_in_the_queue_by_its_whole_name() -> None:
    look = Look(
        lines="\n7|RUNNING|None|s1|N/A|run.detect.1\n8|PENDING|Resources||N/A|other-run.detect.1\n9|FAILED|x|s1|x|x\n"
    )

    assert look.job("run.detect.1") == Job("7", "RUNNING", "None", "s1", "N/A", "run.detect.1")
    assert look.job("detect.1") is None
    assert [job.job_id for job in look.jobs()] == ["7", "8"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("gpu:nvidia:2(S:0-1),gpu:amd:1,shard:8", (("nvidia", 2), ("amd", 1))),
        ("gpu:4", (("gpu", 4),)),
        ("gpu:nvidia", (("nvidia", 1),)),
        ("(null)", ()),
    ],
)
def test_the_gpus_of_a_node_are_read(text: str, found: tuple[tuple[str, int], ...]) -> None:
    assert gres_of(text) == found


def test_a_task_asks_for_what_it_needs_and_for_nothing_on_this_machine() -> None:
    task = a_task().model_copy(
        update={
            "cpus": 1.5,
            "memory_bytes": 1 << 30,
            "gpu": Gpu(vendor="nvidia", count=2),
            "node_tags": ("big", "fast"),
            "timeout_s": 90.0,
            "priority": 3,
        }
    )

    asked = sbatch_arguments(task, "name", SlurmSettings(slurm_partition="p"), with_gpu=True, without_nodes={"b", "a"})

    assert {
        "--cpus-per-task=2",
        "--mem=1224M",
        "--gres=gpu:nvidia:2",
        "--constraint=big&fast",
        "--time=12",
        "--partition=p",
        "--exclude=a,b",
        "--no-requeue",
        "--dependency=singleton",
        f"--priority={BASE_PRIORITY + 3 * PRIORITY_STEP}",
    } <= set(asked)
    assert "--gres" not in " ".join(sbatch_arguments(task, "n", SlurmSettings(), with_gpu=False, without_nodes=()))


def test_the_script_has_no_more_of_the_task_than_its_name() -> None:
    task = a_task().model_copy(update={"args": ("private",), "project": "it's; rm -rf /"})

    script = batch_script(SlurmSettings(), "the.agent", task, 4)

    assert "private" not in script
    assert "WINSLOW_AGENT_TASK=run.detect.1 WINSLOW_AGENT_SUBMISSION=4\n" in script
    assert """WINSLOW_AGENT_COMMENT='it'"'"'s; rm -rf //detect, attempt 1'""" in script


@pytest.mark.parametrize(
    ("printed", "kind", "said"),
    [
        ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
         commands.SlurmAway, "its controller does not answer"),
        ("sbatch: error: invalid partition: x\nsbatch: error: Invalid partition name specified",
         commands.SlurmRefused, "WINSLOW_SLURM_PARTITION"),
        ("sbatch: error: Batch job submission failed: Access/permission denied",
         commands.SlurmRefused, "an operator of Slurm"),
        ("sbatch: error: Memory specification can not be satisfied", commands.SlurmRefused, "Memory specification"),
    ],
)  # fmt: skip
def test_what_slurm_refuses_is_told_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, kind: type[EngineError], said: str
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "said").write_text(printed)
    a_program(tmp_path, "sbatch", f"cat {tmp_path}/said >&2; exit 1")

    with pytest.raises(kind, match=said):
        commands.slurm("sbatch")


def test_a_command_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EngineError, match=r"the command sbatch was not found\. Install Slurm's commands"):
        commands.slurm("sbatch")


def test_slurms_commands_get_arguments_and_the_environment_as_they_are_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("SBATCH_PARTITION", "elsewhere")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    a_program(tmp_path, "sbatch", 'printf "%s\\n" "$@"; cat; env')

    printed = commands.slurm("sbatch", "--comment=$(id) `id`; x\ty", stdin="given\n")

    assert printed.startswith("--comment=$(id) `id`; x\ty\ngiven\n")
    assert "elsewhere" not in printed
    assert "secret" not in printed


def test_the_facts_of_a_node_are_read_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = NodeFacts(
        node_dir=Path("/var/lib/winslow"),
        python=Path("/opt/winslow/bin/python"),
        control_plane_url="https://winslow.example",
        ca_file=Path("/etc/winslow/ca.pem"),
        environment={"AWS_SECRET_ACCESS_KEY": 'a"b\\c\nü', "odd name": "x"},
        gpus=GPUS,
    )
    facts.write(tmp_path / "etc" / "node.toml")

    assert NodeFacts.read(tmp_path / "etc" / "node.toml") == facts
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "etc" / "node.toml"))
    assert NodeFacts.read() == facts
    assert stat.S_IMODE((tmp_path / "etc" / "node.toml").stat().st_mode) == 0o600
    assert 'python = "/opt/winslow/bin/python"\n' in facts.toml()  # The batch script looks for this line.


def test_node_facts_that_cannot_be_read_say_where_and_why(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    with pytest.raises(SettingsInvalid, match=r"node\.toml: there is no such file\. Let the machine join"):
        NodeFacts.read(file)
    file.write_text("node_dir = ")
    with pytest.raises(SettingsInvalid, match=r"node\.toml: cannot be read"):
        NodeFacts.read(file)
    file.write_text(f"node_dir = {json.dumps('/x')}\ncolour = 3")
    with pytest.raises(
        SettingsInvalid, match=r"python: Field required; control_plane_url: Field required; colour: Extra"
    ):
        NodeFacts.read(file)


def test_a_gpu_that_the_node_does_not_know_is_an_error() -> None:
    assert given_gpus(GPUS, (1,)) == GPUS
    with pytest.raises(EngineError, match="Slurm has given this job GPU 2, but 2 are known"):
        given_gpus(GPUS, (0, 2))
