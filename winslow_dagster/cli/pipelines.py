"""`winslow pipelines`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.action_commands import command_line
from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import console, json_option, print_json, print_line, print_table, say
from winslow_dagster.errors import PipelineInvalid
from winslow_dagster.formatting import format_time

if TYPE_CHECKING:
    from winslow_dagster.pipelines import LoadedPipeline, Problem, Stage


@click.group("pipelines")
def command() -> None:
    """List, check and show pipeline files."""


@command.command("list")
@json_option
def list_all(*, as_json: bool) -> None:
    """List the pipelines.

    With --json, {"pipelines": [{"name", "description", "path", "digest", "stages", "inputs"}, …], "problems": […]}.
    """
    from winslow_dagster.pipelines import Catalogue
    from winslow_dagster.settings import Settings

    catalogue = Catalogue.read(Settings.read().pipelines_dir)
    loaded = list(catalogue.pipelines.values())
    if as_json:
        print_json(
            {"pipelines": [_summary(each) for each in loaded], "problems": [asdict(p) for p in catalogue.problems]}
        )
        return
    if loaded:
        print_table(
            ("pipeline", "stages", "inputs", "description"),
            [
                (
                    each.pipeline.name,
                    str(len(each.pipeline.stages)),
                    ", ".join(each.pipeline.inputs),
                    each.pipeline.description.split("\n")[0],
                )
                for each in loaded
            ],
        )
    else:
        console().print(f"no pipelines in {catalogue.directory}")
    if catalogue.problems:
        files = {problem.file for problem in catalogue.problems}
        say(f"pipeline files with errors: {len(files)}; `{command_line('pipelines', 'check')}` lists the errors")


@command.command("check")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@json_option
def check(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Check FILES, or all pipeline files, and print every problem as file:line:column. Exits with 3 if there are any.

    With --json, {"ok", "problems": [{"file", "line", "column", "what", "expected", "suggestion"}, …]}.
    """
    from winslow_dagster.settings import Settings

    problems, count = _problems(files, Settings.read().pipelines_dir)
    if as_json:
        print_json({"ok": not problems, "problems": [asdict(problem) for problem in problems]})
    else:
        for problem in problems:
            print_line(str(problem))
        say(f"valid pipelines: {count}; problems: {len(problems)}")
    if problems:
        raise SystemExit(PipelineInvalid.exit_code)


@command.command("show")
@click.argument("name")
@json_option
def show(name: str, *, as_json: bool) -> None:
    """Show a pipeline with every default filled in.

    With --json, {"path", "digest", "pipeline": {…}}.
    """
    with open_installation() as winslow:
        loaded = winslow.pipeline(name)
    if as_json:
        whole = loaded.pipeline.model_dump(mode="json")
        print_json({"path": str(loaded.path), "digest": loaded.digest, "pipeline": whole})
        return
    output = console()
    pipeline = loaded.pipeline
    output.print(f"{pipeline.name} ({loaded.path}, version {loaded.digest[:8]})", markup=False)
    if pipeline.description:
        output.print(pipeline.description.strip(), markup=False)
    for input_name, declared in pipeline.inputs.items():
        need = "" if declared.required else ", optional"
        kind = f"{declared.kind} or a directory of its parts" if declared.parts else declared.kind
        text = f"{kind}{need} {' '.join(declared.suffixes)} {declared.description}"
        output.print(f"input {input_name}: {text}", markup=False)
    for variable, value in pipeline.env.items():
        output.print(f"env {variable}={value}", markup=False)
    output.print()
    print_table(
        ("stage", "after", "program", "needs", "env"),
        [
            (stage.name, ", ".join(stage.after), _program(stage), _needs(stage), _env(stage))
            for stage in pipeline.stages
        ],
    )


@command.command("versions")
@click.argument("name")
@json_option
def versions(name: str, *, as_json: bool) -> None:
    """List the kept versions of a pipeline, the latest first: each with which a project was started.

    With --json, [{"digest", "kept_at", "current", "projects"}, …].
    """
    with open_installation() as winslow:
        found = winslow.pipeline_files.versions(name)
    if as_json:
        print_json([asdict(each) | {"kept_at": each.kept_at.isoformat()} for each in found])
        return
    print_table(
        ("version", "kept", "", "projects"),
        [
            (each.digest[:8], format_time(each.kept_at), "current" if each.current else "", ", ".join(each.projects))
            for each in found
        ],
    )


@command.command("changes")
@click.argument("name")
@click.argument("old")
@click.argument("new", default="current")
@json_option
def show_changes(name: str, old: str, new: str, *, as_json: bool) -> None:
    """Show what changed in a pipeline from version OLD to version NEW, or to the file as it is now.

    With --json, {"old", "new", "changes": [TEXT, …]}.
    """
    with open_installation() as winslow:
        found = winslow.pipeline_files.changes(name, old, new)
    if as_json:
        print_json(asdict(found))
        return
    for change in found.changes:
        print_line(change)
    if not found.changes:
        say("nothing that matters to a run changed")


@command.command("schema")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the schema to this file.")
@json_option
def schema(output: Path | None, *, as_json: bool) -> None:
    """Print the JSON Schema of pipeline files, which editors use to complete and check them.

    It is JSON with and without --json.
    """
    from winslow_dagster.pipelines import schema_text

    del as_json
    if output is None:
        click.echo(schema_text(), nl=False)
    else:
        output.write_text(schema_text(), encoding="utf-8")


def _problems(files: tuple[Path, ...], directory: Path) -> tuple[list[Problem], int]:
    """The problems, and the number of valid pipelines."""
    from winslow_dagster.pipelines import Catalogue, load

    if not files:
        catalogue = Catalogue.read(directory)
        return list(catalogue.problems), len(catalogue.pipelines)
    problems: list[Problem] = []
    count = 0
    for path in files:
        try:
            load(path)
            count += 1
        except PipelineInvalid as error:
            problems.extend(error.problems)
    return problems, count


def _summary(loaded: LoadedPipeline) -> dict[str, object]:
    pipeline = loaded.pipeline
    return {
        "name": pipeline.name,
        "description": pipeline.description,
        "path": str(loaded.path),
        "digest": loaded.digest,
        "stages": [stage.name for stage in pipeline.stages],
        "inputs": {name: declared.model_dump(mode="json") for name, declared in pipeline.inputs.items()},
    }


def _program(stage: Stage) -> str:
    return " ".join((stage.image or "", *stage.command, *stage.args)).strip()


def _needs(stage: Stage) -> str:
    from winslow_dagster.formatting import format_duration, format_size

    needs = [f"{stage.cpus:g} cpus"]
    if stage.memory_bytes is not None:
        needs.append(format_size(stage.memory_bytes))
    if stage.gpu is not None:
        needs.append(f"{stage.gpu.count} gpu{' (optional)' if stage.gpu.optional else ''}")
    if stage.timeout_s is not None:
        needs.append(f"at most {format_duration(stage.timeout_s)}")
    return ", ".join(needs)


def _env(stage: Stage) -> str:
    return " ".join(f"{name}={value}" for name, value in stage.env.items())
