"""`winslow create | note | tag | todo | history | audit`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from winslow_dagster.cli.action_commands import command_line
from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import console, json_option, print_json, print_line, print_table, say
from winslow_dagster.cli.run_options import pairs, secret_option, variables, warn_of_damage
from winslow_dagster.errors import UsageError

MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


@click.command("create")
@click.argument("pipeline")
@click.option("--project", required=True, help="Project name.")
@click.option("--input", "inputs", multiple=True, metavar="NAME=PATH", help="A file for an input of the pipeline.")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="Variable of the project.")
@secret_option("the project")
@click.option("--tag", "tags", multiple=True, help="Tag of the project.")
@click.option("--notes", default="", help="Notes on the project.")
@json_option
def create(  # noqa: PLR0913, PLR0917  # click hands over each option, by name
    pipeline: str,
    project: str,
    inputs: tuple[str, ...],
    env: tuple[str, ...],
    secrets: tuple[str, ...],
    tags: tuple[str, ...],
    notes: str,
    *,
    as_json: bool,
) -> None:
    """Create a project of PIPELINE without running it. `winslow run` runs it, and takes inputs that are still missing.

    With --json, the project's status, as by `winslow status PROJECT --json`.
    """
    from winslow_dagster.cli.progress import transfer_bars

    with open_installation() as winslow:
        files = pairs(inputs, "--input")
        if not as_json:
            warn_of_damage(winslow, files)
        with transfer_bars("storing") as bars:
            created = winslow.create(
                pipeline,
                project,
                files,
                env=variables(env, secrets),
                tags=tags,
                notes=notes,
                upload=bars,
            )
        status = created.status()
    if as_json:
        print_json(status.model_dump(mode="json"))
    else:
        missing = "".join(f" --input {name}=PATH" for name in status.missing_inputs)
        say(f"created {project}; `{command_line('run', pipeline, '--project', project)}{missing}` runs it")


@click.command("note")
@click.argument("project")
@click.argument("text", required=False)
@json_option
def note(project: str, text: str | None, *, as_json: bool) -> None:
    """Replace the notes on PROJECT with TEXT. Without TEXT, print them.

    With --json, {"notes"}.
    """
    with open_installation() as winslow:
        handle = winslow.project(project)
        if text is not None:
            handle.note(text)
        kept = handle.notes()
    if as_json:
        print_json({"notes": kept})
    elif text is None:
        print_line(kept)


@click.command("tag")
@click.argument("project")
@click.argument("tags", nargs=-1)
@click.option("--add", multiple=True, metavar="TAG", help="Add this tag; may be repeated.")
@click.option("--remove", multiple=True, metavar="TAG", help="Remove this tag; may be repeated.")
@json_option
def tag(project: str, tags: tuple[str, ...], add: tuple[str, ...], remove: tuple[str, ...], *, as_json: bool) -> None:
    """Replace the tags of PROJECT. Without TAGS, print them; `winslow tag PROJECT ""` removes all.

    With --json, {"tags"}.
    """
    if tags and (add or remove):
        raise UsageError("TAGS replace all tags", expected="either TAGS, or --add and --remove")
    with open_installation() as winslow:
        handle = winslow.project(project)
        if add or remove:
            kept = handle.change_tags(add=add, remove=remove)
        else:
            kept = handle.tag(tags) if tags else handle.tags()
    if as_json:
        print_json({"tags": list(kept)})
    else:
        print_line(", ".join(kept))


@click.command("todo")
@click.argument("project")
@click.argument("text", required=False)
@click.option("--done", type=int, metavar="NUMBER", help="Tick this entry off.")
@click.option("--open", "opened", type=int, metavar="NUMBER", help="Open this entry again.")
@json_option
def todo(project: str, text: str | None, done: int | None, opened: int | None, *, as_json: bool) -> None:
    """Add TEXT to the to-do list of PROJECT. Without TEXT, print the list.

    With --json, {"todos": [{number, text, created_at, created_by, done_at, done_by}, …]}.
    """
    with open_installation() as winslow:
        handle = winslow.project(project)
        if text is not None:
            handle.add_todo(text)
        for number, is_done in ((done, True), (opened, False)):
            if number is not None:
                handle.finish_todo(number, done=is_done)
        todos = handle.todos()
    if as_json:
        print_json({"todos": [each.model_dump(mode="json") for each in todos]})
        return
    for each in todos:
        console().print(f"[{'x' if each.done_at else ' '}] {each.number} {each.text}", markup=False)


@click.command("history")
@click.argument("project")
@click.option("--stage", help="Only attempts of this stage.")
@json_option
def history(project: str, stage: str | None, *, as_json: bool) -> None:
    """Show all attempts of all stages of PROJECT: outcome, node, run, who requested it and why.

    With --json, {"attempts": [{task_id, stage, number, pipeline, pipeline_version, started_at, duration_s, outcome,
    message, node, image_digest, run_id, requested_by, via, reason, settings, reused_from, outputs_removed_at}, …]}.
    """
    from winslow_dagster.formatting import format_duration, format_time

    with open_installation() as winslow:
        lines = winslow.project(project).history(stage)
    if as_json:
        print_json({"attempts": [line.model_dump(mode="json") for line in lines]})
        return
    print_table(
        ("pipeline", "stage", "attempt", "started", "time", "outcome", "who", "reason", "message"),
        [
            (
                line.pipeline,
                line.stage,
                str(line.number),
                format_time(line.started_at),
                "" if line.duration_s is None else format_duration(line.duration_s),
                line.outcome or "running",
                line.requested_by,
                line.reason,
                line.message,
            )
            for line in lines
        ],
    )


@click.command("audit")
@click.argument("project", required=False)
@click.option("--who", help="Only actions of this person.")
@click.option("--action", help="Only this kind of action, such as pause.")
@click.option("--since", type=MOMENT, help="Only actions from this day or time on, in UTC.")
@click.option("--until", type=MOMENT, help="Only actions before this day or time, in UTC.")
@click.option("--before", type=click.IntRange(1), help="Only entries older than the one with this id.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="Maximum number of entries."
)
@json_option
def audit(  # noqa: PLR0913, PLR0917  # click hands over each option, by name
    project: str | None,
    who: str | None,
    action: str | None,
    since: datetime | None,
    until: datetime | None,
    before: int | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """Show who did what, when, to which project, from where; the latest first.

    With --json, {"entries": [{id, at, who, via, host, project, action, details}, …], "before"}; `before` is the id to
    go on with, or null.
    """
    from winslow_dagster.formatting import format_time
    from winslow_dagster.projects.domain.audit import AuditQuery

    query = AuditQuery(
        project=project,
        who=who,
        action=action,
        since=since and since.replace(tzinfo=UTC),
        until=until and until.replace(tzinfo=UTC),
        before=before,
        limit=limit,
    )
    with open_installation() as winslow:
        page = winslow.find_audit_entries(query)
    if as_json:
        print_json(page.model_dump(mode="json"))
        return
    print_table(
        ("when", "who", "via", "host", "project", "action", "details"),
        [
            (
                format_time(entry.at),
                entry.who,
                entry.via,
                entry.host,
                entry.project or "",
                entry.action,
                ", ".join(f"{name}={value}" for name, value in entry.details.items()),
            )
            for entry in page.entries
        ],
    )
