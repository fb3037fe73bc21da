"""`winslow up`."""

from __future__ import annotations

import click

from winslow_dagster.cli.output import json_option, print_json, reporter, say


@click.command("up")
@json_option
def command(*, as_json: bool) -> None:
    """Run the services until Ctrl-C: the web interface, the queue and the sensors.

    Running stages continue when the services stop. Errors in pipeline files are printed first. WINSLOW_PORT and
    WINSLOW_BIND say where it listens: by default at port 3000, for this machine only.

    As long as nobody has a password, the printed address logs in, once. With --json, one object once the services
    answer: {"address": "http://…", "login_address": address or null}.
    """
    from winslow_dagster import Winslow
    from winslow_dagster.pipelines import Catalogue
    from winslow_dagster.projects.accounts.tokens import link_address
    from winslow_dagster.projects.dagster_api.serving import DAGIT_PATH
    from winslow_dagster.projects.domain.actor import Actor
    from winslow_dagster.services import Services
    from winslow_dagster.settings import Settings

    def ready(address: str) -> None:
        with Winslow(settings, Actor(via="cli")) as winslow:
            key = winslow.accounts.entry_link()
        login_address = None if key is None else link_address(address, key)
        if as_json:
            print_json({"address": address, "login_address": login_address})
        else:
            say(f"ready: {login_address or address} (Ctrl-C stops the services; running stages continue)")
            say(f"Dagster's own pages: {address}{DAGIT_PATH}/")

    settings = Settings.read()
    if not as_json:
        say("starting the services ...")
        for problem in Catalogue.read(settings.pipelines_dir).problems:
            say(f"error in a pipeline file: {problem}")
    Services(settings, reporter(quiet=as_json)).serve(ready)
