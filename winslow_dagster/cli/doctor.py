"""`winslow doctor`."""

from __future__ import annotations

from dataclasses import asdict

import click

from winslow_dagster.cli.output import json_option, print_json, print_table
from winslow_dagster.errors import ServiceUnavailable


@click.command("doctor")
@json_option
def command(*, as_json: bool) -> None:
    """Say what is there, what is missing, and how to get it. Ends with 9 where something is missing.

    With --json, {"ok", "checks": [{"name", "state", "detail", "remedy"}, …]}; state is ok, warn or missing.
    """
    from winslow_dagster.cli.diagnosis import findings
    from winslow_dagster.settings import Settings

    found = tuple(findings(Settings.read()))
    healthy = all(finding.state != "missing" for finding in found)
    if as_json:
        print_json({"ok": healthy, "checks": [asdict(finding) for finding in found]})
    else:
        rows = [(finding.state, finding.name, finding.detail, finding.remedy) for finding in found]
        print_table(("", "what", "found", "to do"), rows)
    if not healthy:
        raise SystemExit(ServiceUnavailable.exit_code)
