"""`winslow up`."""

from __future__ import annotations

import click

from winslow_dagster.cli.output import json_option, print_json, reporter, say


@click.command("up")
@json_option
def command(*, as_json: bool) -> None:
    """Run the services until Ctrl-C: the web interface, the queue and the sensors.

    Running stages continue when the services stop. Errors in pipeline files are printed first.

    With --json, one object once the services answer: {"address": "http://…"}.
    """
    from winslow_dagster.pipelines import Catalogue
    from winslow_dagster.projects.dagster_api.serving import DAGIT_PATH
    from winslow_dagster.services import Services
    from winslow_dagster.settings import Settings

    def ready(address: str) -> None:
        if as_json:
            print_json({"address": address})
        else:
            say(f"ready: {address} (Ctrl-C stops the services; running stages continue)")
            say(f"Dagster's own pages: {address}{DAGIT_PATH}/")

    settings = Settings.read()
    if not as_json:
        say("starting the services ...")
        for problem in Catalogue.read(settings.pipelines_dir).problems:
            say(f"error in a pipeline file: {problem}")
    Services(settings, reporter(quiet=as_json)).serve(ready)
