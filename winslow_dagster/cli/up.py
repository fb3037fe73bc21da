"""`winslow up`."""

from __future__ import annotations

import click

from winslow_dagster.cli.output import json_option, print_json, say


@click.command("up")
@json_option
def command(*, as_json: bool) -> None:
    """Keep the services running until Ctrl-C.

    The web interface, the queue and the sensors. Stages are no part of them: they run on when these end. What is wrong
    with pipeline files is said first.

    With --json, one object is printed once the services answer: {"address": "http://…"}.
    """
    from winslow_dagster.pipelines import Catalogue
    from winslow_dagster.services import Services
    from winslow_dagster.settings import Settings

    def ready(address: str) -> None:
        if as_json:
            print_json({"address": address})
        else:
            say(f"ready: {address} (Ctrl-C ends the services; stages run on)")

    settings = Settings.read()
    if not as_json:
        say("starting the services ...")
        for problem in Catalogue.read(settings.pipelines_dir).problems:
            say(f"cannot be used: {problem}")
    Services(settings).serve(ready)
