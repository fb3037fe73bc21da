"""`winslow doctor`."""

from __future__ import annotations

from dataclasses import asdict

import click

from winslow_dagster.actions import Action
from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_table
from winslow_dagster.errors import ServiceUnavailable


@click.command("doctor")
@json_option
def command(*, as_json: bool) -> None:
    """Check the installation: what it has, what is missing, and how to get it. Exits with 9 if something is missing.

    With --json, {"ok", "checks": [{"name", "state", "detail", "remedy"}, …]}; state is ok, warn or missing.
    """
    from winslow_dagster.cli.action_commands import wording

    with open_installation() as winslow:
        found = tuple(winslow.diagnose())
    remedies = [wording(finding.remedy) if isinstance(finding.remedy, Action) else finding.remedy for finding in found]
    healthy = all(finding.state != "missing" for finding in found)
    if as_json:
        checks = [asdict(finding) | {"remedy": remedy} for finding, remedy in zip(found, remedies, strict=True)]
        print_json({"ok": healthy, "checks": checks})
    else:
        rows = [
            (finding.state, finding.name, finding.detail, remedy)
            for finding, remedy in zip(found, remedies, strict=True)
        ]
        print_table(("", "check", "found", "to do"), rows)
    if not healthy:
        raise SystemExit(ServiceUnavailable.exit_code)
