"""`winslow sweeps`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import console, json_option, print_json, print_table, say

if TYPE_CHECKING:
    from winslow_dagster.projects.domain.sweeps import Sweep, SweepSummary


@click.command("sweeps")
@click.argument("project")
@click.argument("sweep", required=False)
@json_option
def command(project: str, sweep: str | None, *, as_json: bool) -> None:
    """List the sweeps of PROJECT, the latest first; or the runs of SWEEP, an id or `latest`.

    With --json, {"sweeps": [{sweep, pipeline, stage, launched_at, requested_by, reason, total, ended, succeeded,
    picked}, …]}; of one, these fields and {variables, runs: [{run_id, state, message, values, number, task_id,
    started_at, duration_s, results, pickable}, …], in_use, goes_out_of_date}.
    """
    with open_installation() as winslow:
        handle = winslow.project(project)
        chosen = None if sweep is None else handle.sweep_runs(sweep)
        sweeps = handle.sweeps() if chosen is None else ()
    if chosen is not None and as_json:
        print_json(chosen.model_dump(mode="json"))
    elif chosen is not None:
        _show(chosen)
    elif as_json:
        print_json({"sweeps": [each.model_dump(mode="json") for each in sweeps]})
    elif not sweeps:
        console().print("no sweeps yet; `winslow sweep PROJECT STAGE --env NAME=VALUES` starts one")
    else:
        _list(sweeps)


def _list(sweeps: tuple[SweepSummary, ...]) -> None:
    from winslow_dagster.formatting import format_time

    print_table(
        ("sweep", "stage", "started", "by", "runs", "picked", "reason"),
        [
            (
                each.sweep,
                each.stage,
                format_time(each.launched_at),
                each.requested_by,
                f"{each.succeeded} of {each.total} succeeded"
                + (f", {each.total - each.ended} to go" if each.ended < each.total else ""),
                each.picked or "",
                each.reason,
            )
            for each in sweeps
        ],
    )


def _show(sweep: Sweep) -> None:
    from winslow_dagster.formatting import format_duration

    results = tuple(dict.fromkeys(name for run in sweep.runs for name in run.results))
    print_table(
        ("attempt", *sweep.variables, "state", "time", *results),
        [
            (
                "" if run.number is None else str(run.number),
                *(run.values.get(name, "") for name in sweep.variables),
                run.state,
                "" if run.duration_s is None else format_duration(run.duration_s),
                *(run.results.get(name, "") for name in results),
            )
            for run in sweep.runs
        ],
    )
    for run in sweep.runs:
        if run.task_id is not None and run.task_id == sweep.in_use:
            say(f"{sweep.stage} has the outputs of attempt {run.number}")
