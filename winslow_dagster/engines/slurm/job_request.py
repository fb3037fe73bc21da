"""A task as a job: what it asks of Slurm, and the script that Slurm starts on the node."""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection

from winslow_dagster.engines.slurm.node_facts import FILE_VARIABLE
from winslow_dagster.formatting import count_of, format_size
from winslow_dagster.settings import SlurmSettings
from winslow_dagster.stages.task.model import PRIORITY_STEP, StageTask

MIB = 1 << 20
AGENT_BYTES = 200 * MIB
"""What the agent and the runner need beside the stage, whose processes are in the same job."""
GRACE_MINUTES = 10
"""Slurm ends a job only this long after the stage's timeout, which its runner enforces and explains."""
SECONDS_TO_STOP = 30
BASE_PRIORITY = 1_000_000
"""Slurm takes equals in order of submission. A priority is at least 1."""
NO_NODE_FILE = 78
BYTECODE = "bytecode"
"""Directory of a node with Winslow's compiled modules: agents may not write where it is installed, and to compile what
they import takes longer than to import it.
"""
SCRIPT = """\
#!/bin/bash
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
unset HOME && export HOME=~
node_file={node_file}
export {variable}="${{node_file//\\{{node\\}}/$SLURMD_NODENAME}}"
export WINSLOW_AGENT_TASK={task_id} WINSLOW_AGENT_SUBMISSION={submission}
export WINSLOW_AGENT_COMMENT={comment}
while IFS='"' read -r name value _; do
    case $name in
        'python = ') python=$value ;;
        'node_dir = ') export PYTHONPYCACHEPREFIX=$value/{bytecode} ;;
    esac
done <"${variable}" || exit {no_node_file}
exec "$python" -m {agent}
"""


def sbatch_arguments(
    task: StageTask, name: str, slurm: SlurmSettings, *, with_gpu: bool, without_nodes: Collection[str]
) -> list[str]:
    """The arguments of sbatch. `without_nodes` are those whose GPUs are known to be too small."""
    arguments = [
        "--parsable",
        f"--job-name={name}",
        f"--comment={comment_of(task)}",
        "--nodes=1",
        "--ntasks=1",
        f"--cpus-per-task={max(1, math.ceil(task.cpus))}",
        f"--priority={max(1, BASE_PRIORITY + PRIORITY_STEP * task.priority)}",
        # One path for lost nodes and preemption: the control plane submits anew.
        "--no-requeue",
        # Two jobs of one name never run at once, whatever else goes wrong.
        "--dependency=singleton",
        # sbatch itself has nothing of this machine's environment. With NONE, the node would load the user's, as a
        # log-in does, which takes it seconds.
        "--export=ALL",
        "--output=/dev/null",
        "--chdir=/",
        f"--signal=B:TERM@{SECONDS_TO_STOP}",
    ]
    if slurm.slurm_partition:
        arguments.append(f"--partition={slurm.slurm_partition}")
    if task.memory_bytes:
        arguments.append(f"--mem={math.ceil((task.memory_bytes + AGENT_BYTES) / MIB)}M")
    if task.gpu is not None and with_gpu:
        arguments.append(f"--gres=gpu:{f'{task.gpu.vendor}:' if task.gpu.vendor else ''}{task.gpu.count}")
    if task.node_tags:
        arguments.append(f"--constraint={'&'.join(task.node_tags)}")
    if task.timeout_s is not None:
        arguments.append(f"--time={math.ceil(task.timeout_s / 60) + GRACE_MINUTES}")
    if without_nodes:
        arguments.append(f"--exclude={','.join(sorted(without_nodes))}")
    return arguments


def asked_of(task: StageTask) -> str:
    """What the task asks of a node, for people."""
    parts = [count_of(max(1, math.ceil(task.cpus)), "CPU")]
    if task.memory_bytes:
        parts.append(format_size(task.memory_bytes))
    if task.gpu is not None:
        kind = f"{task.gpu.vendor} GPU" if task.gpu.vendor else "GPU"
        memory = f" with {format_size(task.gpu.memory_bytes)}" if task.gpu.memory_bytes else ""
        parts.append(count_of(task.gpu.count, kind) + memory)
    if task.node_tags:
        parts.append(f"the node tags {', '.join(task.node_tags)}")
    return ", ".join(parts)


def comment_of(task: StageTask) -> str:
    """What Slurm's own tools show of the job."""
    return f"{task.project}/{task.stage}, attempt {task.attempt}"


def batch_script(slurm: SlurmSettings, agent: str, task: StageTask, submission: int) -> str:
    """The script. It has only the task's id: Slurm sends scripts unencrypted, and keeps them in files of its own."""
    return SCRIPT.format(
        node_file=shlex.quote(slurm.slurm_node_file),
        variable=FILE_VARIABLE,
        task_id=shlex.quote(task.task_id),
        comment=shlex.quote(comment_of(task)),
        submission=submission,
        agent=agent,
        bytecode=BYTECODE,
        no_node_file=NO_NODE_FILE,
    )
