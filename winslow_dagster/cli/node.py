"""`winslow node`: this machine as a node of a Slurm cluster."""

from __future__ import annotations

from pathlib import Path

import click

from winslow_dagster.cli.output import json_option, print_json, print_line, reporter, say

node_name = click.option("--name", help="Name of the machine in the cluster. Default: its host name.")


@click.group("node")
def command() -> None:
    """Let this machine join a Slurm cluster, and leave it.

    `winslow nodes` lists the machines of an installation; these commands act on the machine that they run on.
    """


@command.command("invite")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--url", help="Where machines reach the web server. Default: WINSLOW_CONTROL_PLANE_URL.")
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file of its authority. Default: WINSLOW_CONTROL_PLANE_CA_FILE.",
)
@json_option
def invite(file: Path, url: str | None, ca: Path | None, *, as_json: bool) -> None:
    """Write an invitation to FILE, on the control plane. With it, machines join the cluster.

    The file holds the key of the cluster and the credentials of the store: copy it with scp, and delete it afterwards.

    With --json, {"file", "cluster", "control_plane_url"}.
    """
    from winslow_dagster.errors import SettingsInvalid
    from winslow_dagster.node_setup.invitation import invite as make
    from winslow_dagster.settings import Settings

    slurm = Settings.read().slurm
    address = url or slurm.control_plane_url
    if not address:
        raise SettingsInvalid(
            "it is not said where machines reach the web server",
            where="WINSLOW_CONTROL_PLANE_URL",
            expected="its address, such as https://winslow.example",
            remedy="Set it, or give --url",
        )
    invitation = make(address, ca or slurm.control_plane_ca_file)
    invitation.write(file)
    if as_json:
        print_json({"file": str(file), "cluster": invitation.cluster, "control_plane_url": address})
    else:
        print_line(f"{file}: an invitation to the cluster {invitation.cluster}")
        say("Copy it to the machine with scp; there, `sudo winslow node join FILE`; then delete both copies.")


@command.command("join")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@node_name
@click.option("--tag", "tags", multiple=True, help="Tag of the machine, for `node_tags` of stages. Repeatable.")
@click.option("--node-dir", type=click.Path(file_okay=False, path_type=Path), help="Where stages work, on a big disk.")
@click.option("--cpus", type=click.IntRange(min=1), help="CPUs for stages. Default: all.")
@json_option
def join(  # noqa: PLR0913  # click hands over each option, by name
    file: Path, name: str | None, tags: tuple[str, ...], node_dir: Path | None, cpus: int | None, *, as_json: bool
) -> None:
    """Let this machine join the cluster of the invitation in FILE. Needs root, and Debian or Ubuntu.

    It installs slurmd and munge, writes their configuration with the GPUs that it finds, and starts them. Join again
    after the GPUs or the configuration of the cluster have changed. Stages work in /var/lib/winslow unless --node-dir
    names another directory.

    With --json, {"node", "state", "done": [text, …]}.
    """
    from winslow_dagster.engines import container_gpus, hardware
    from winslow_dagster.node_setup import join as joining
    from winslow_dagster.node_setup import places
    from winslow_dagster.node_setup.description import Description
    from winslow_dagster.node_setup.invitation import Invitation

    invitation = Invitation.read(file)
    report = hardware.detect_gpus()
    machine = Description(
        name=name or hardware.node_name().partition(".")[0],
        cpus=cpus or hardware.usable_cpus(),
        memory_bytes=hardware.usable_memory_bytes(),
        gpus=report.gpus,
        tags=tags,
    )
    found = container_gpus.look(report.gpus)
    done: list[str] = []
    tell = reporter(quiet=as_json)

    def each(step: str) -> None:
        done.append(step)
        tell(step)

    for note in report.notes:
        each(note)
    state = joining.join(invitation, machine, (node_dir or places.NODE_DIR).absolute(), found, each)
    if as_json:
        print_json({"node": machine.name, "state": state, "done": done})
    else:
        print_line(f"{machine.name} is a node of {invitation.cluster}; its state is {state}")


@command.command("status")
@node_name
@json_option
def status(name: str | None, *, as_json: bool) -> None:
    """Show what this machine is in the cluster, and what keeps it from working. Exits with 9 if something does.

    With --json, {"node", "ok", "checks": [{"name", "ok", "detail"}, …]}.
    """
    from winslow_dagster.engines.hardware import node_name as host_name
    from winslow_dagster.errors import ServiceUnavailable
    from winslow_dagster.node_setup.checks import checks

    here = name or host_name().partition(".")[0]
    found = checks(here)
    healthy = all(check.ok for check in found)
    if as_json:
        print_json({"node": here, "ok": healthy, "checks": [check.model_dump() for check in found]})
    else:
        for check in found:
            print_line(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.detail}")
    if not healthy:
        raise SystemExit(ServiceUnavailable.exit_code)


@command.command("drain")
@node_name
@click.option("--reason", default="", help="Reason, for those whose stages wait.")
@json_option
def drain(name: str | None, reason: str, *, as_json: bool) -> None:
    """Let this machine take no new stage. What runs here goes on.

    With --json, {"node", "drained": true}.
    """
    from winslow_dagster.engines.hardware import node_name as host_name
    from winslow_dagster.node_setup import state

    here = name or host_name().partition(".")[0]
    state.drain(here, reason)
    _tell_drained(here, drained=True, as_json=as_json)


@command.command("resume")
@node_name
@json_option
def resume(name: str | None, *, as_json: bool) -> None:
    """Let this machine take stages again.

    With --json, {"node", "drained": false}.
    """
    from winslow_dagster.engines.hardware import node_name as host_name
    from winslow_dagster.node_setup import state

    here = name or host_name().partition(".")[0]
    state.resume(here)
    _tell_drained(here, drained=False, as_json=as_json)


@command.command("leave")
@node_name
@click.option("--end-stages", is_flag=True, help="End the stages that run here; they start elsewhere.")
@json_option
def leave(name: str | None, *, end_stages: bool, as_json: bool) -> None:
    """Take this machine out of the cluster. Needs root.

    While stages run here, it only takes no new ones; leave again once they have ended.

    With --json, {"node", "done": [text, …]}.
    """
    from winslow_dagster.engines.hardware import node_name as host_name
    from winslow_dagster.node_setup import state

    here = name or host_name().partition(".")[0]
    done = state.leave(here, end_jobs=end_stages)
    if as_json:
        print_json({"node": here, "done": list(done)})
    else:
        for step in done:
            print_line(step)


def _tell_drained(here: str, *, drained: bool, as_json: bool) -> None:
    if as_json:
        print_json({"node": here, "drained": drained})
    elif drained:
        say(f"{here} takes no new stage; `winslow node resume` ends that")
    else:
        say(f"{here} takes stages again")
