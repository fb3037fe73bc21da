"""`winslow nodes`: the machines that run stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.action_commands import command_line
from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_line, print_table, say

if TYPE_CHECKING:
    from winslow_dagster.engines.engine import GpuUsage, Node, NodeUsage


@click.group("nodes")
def command() -> None:
    """List the machines that run stages, and drain one before maintenance."""


@command.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List the nodes: whether they take stages, and what is in use.

    With --json, {"nodes": [{name, cpus, memory_bytes, gpus, tags, containers, container_runtimes, cdi_devices,
    gpu_notes, drain, usage}, …]}.
    """
    with open_installation() as winslow:
        nodes, usage = winslow.machines.list(), {each.name: each for each in winslow.machines.usage()}
    if as_json:
        print_json(
            {
                "nodes": [
                    node.model_dump(mode="json")
                    | {"usage": usage[node.name].model_dump(mode="json") if node.name in usage else None}
                    for node in nodes
                ]
            }
        )
    else:
        headings = ("node", "takes stages", "CPUs", "memory", "disk free", "GPUs", "tags")
        print_table(headings, [_row(node, usage.get(node.name)) for node in nodes])
        for node in nodes:
            for line in gpu_lines(node, usage.get(node.name)):
                print_line(f"{node.name}: {line}")


@command.command("drain")
@click.argument("node")
@click.option("--reason", default="", help="Reason, for those whose stages wait.")
@json_option
def drain(node: str, reason: str, *, as_json: bool) -> None:
    """Let NODE take no new stage. What runs there goes on.

    With --json, {"node", "drained": true}.
    """
    with open_installation() as winslow:
        winslow.machines.drain(node, reason)
    if as_json:
        print_json({"node": node, "drained": True})
    else:
        say(f"{node} takes no new stage; `{command_line('nodes', 'resume', node)}` ends that")


@command.command("resume")
@click.argument("node")
@json_option
def resume(node: str, *, as_json: bool) -> None:
    """Let NODE take stages again.

    With --json, {"node", "drained": false}.
    """
    with open_installation() as winslow:
        winslow.machines.undrain(node)
    if as_json:
        print_json({"node": node, "drained": False})
    else:
        say(f"{node} takes stages again")


def _row(node: Node, usage: NodeUsage | None) -> tuple[str, ...]:
    from winslow_dagster.formatting import format_size

    used = "" if usage is None else f"{format_size(usage.memory_used_bytes)} of "
    return (
        node.name,
        f"no, {node.drain}" if node.drain else "yes",
        f"{node.cpus}" if usage is None else f"{node.cpus} ({usage.cpu_percent:.0f} % busy)",
        f"{used}{format_size(node.memory_bytes)}",
        "" if usage is None else f"{format_size(usage.disk_free_bytes)} of {format_size(usage.disk_total_bytes)}",
        ", ".join(gpu.name for gpu in node.gpus) or "none",
        ", ".join(node.tags),
    )


def gpu_lines(node: Node, usage: NodeUsage | None) -> tuple[str, ...]:
    """What there is to say about the GPUs of a node beside their names."""
    from winslow_dagster.formatting import format_size

    used = {} if usage is None else {gpu.uuid: gpu for gpu in usage.gpus}
    lines = []
    for gpu in node.gpus:
        now = used.get(gpu.uuid)
        lines.append(
            f"GPU {gpu.index}: {gpu.name}"
            + (f", {format_size(gpu.memory_bytes)}" if gpu.memory_bytes else "")
            + (f", driver {gpu.driver}" if gpu.driver else "")
            + (_in_use(now) if now else "")
        )
        lines += [f"GPU {gpu.index}: {line}" for line in (_process_lines(now) if now else ())]
    if node.cdi_devices:
        lines.append(f"containers get these devices by CDI: {', '.join(node.cdi_devices)}")
    return (*lines, *node.gpu_notes)


def _process_lines(gpu: GpuUsage) -> tuple[str, ...]:
    """A line for each process that uses a GPU."""
    from winslow_dagster.formatting import format_size

    if gpu.processes is None:
        return ("which processes use it is unknown",)
    return tuple(
        f"process {each.pid}, {each.program or 'an unknown program'}"
        + ("" if each.memory_bytes is None else f", {format_size(each.memory_bytes)}")
        + (f": {each.project}, {each.stage}, attempt {each.attempt}" if each.project else ": not of Winslow")
        for each in gpu.processes
    )


def _in_use(gpu: GpuUsage) -> str:
    """What is known to be in use of a GPU."""
    from winslow_dagster.formatting import format_size

    parts = [
        "" if gpu.used_percent is None else f"{gpu.used_percent:.0f} % busy",
        "" if gpu.memory_used_bytes is None else f"{format_size(round(gpu.memory_used_bytes))} in use",
        "" if gpu.temperature_c is None else f"{gpu.temperature_c:.0f} °C",
    ]
    return "".join(f", {part}" for part in parts if part)
