"""What an installation needs and has: the findings of `winslow doctor`, its services, versions and nodes."""

from __future__ import annotations

from pydantic import BaseModel

from winslow_dagster.actions import Action, command_text
from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import Room
from winslow_dagster.engines.engine import NodeUsage
from winslow_dagster.projects.commands.diagnosis import Finding, State
from winslow_dagster.projects.dagster_api.serving import RunningService

room = Room(tags=["health"])


class FindingView(BaseModel):
    """One thing that was checked, and what to do about it; `command` does it in a shell, where there is one."""

    name: str
    state: State
    detail: str
    remedy: str
    command: str = ""

    @classmethod
    def of(cls, finding: Finding) -> FindingView:
        """As pages and programs get it."""
        command = command_text(finding.remedy) if isinstance(finding.remedy, Action) else ""
        return cls(
            name=finding.name,
            state=finding.state,
            detail=finding.detail,
            remedy=str(finding.remedy),
            command=command,
        )


class Findings(BaseModel):
    """`ok` unless something is missing without which Winslow does not work."""

    ok: bool
    findings: tuple[FindingView, ...]


@room.route_for("/findings", role="viewer")
def findings(front: Front) -> Findings:
    """Check everything that the installation needs. Takes some seconds."""
    found = tuple(FindingView.of(each) for each in front.diagnose())
    return Findings(ok=all(each.state != "missing" for each in found), findings=found)


@room.route_for("/services", role="viewer")
def services(front: Front) -> tuple[RunningService, ...]:
    """The processes of the services."""
    return front.services()


@room.route_for("/versions", role="viewer")
def versions(front: Front) -> dict[str, str]:
    """The programs that the control plane consists of, with their versions."""
    return front.versions()


@room.route_for("/node-usage", role="viewer")
def node_usage(front: Front) -> tuple[NodeUsage, ...]:
    """CPU, memory and disk in use on each node."""
    return front.node_usage()
