"""`winslow answer`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from winslow_dagster.cli.action_commands import command_line
from winslow_dagster.cli.control import detach_option, pipeline_words
from winslow_dagster.cli.follow_run import follow
from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import console, json_option, print_json, print_table, reporter, say
from winslow_dagster.cli.run_options import pairs, pipeline_option
from winslow_dagster.errors import UsageError, WinslowError
from winslow_dagster.json_text import JsonMalformed, parse_json
from winslow_dagster.paths import expanded

if TYPE_CHECKING:
    from winslow_dagster.projects.commands.project import ProjectHandle
    from winslow_dagster.projects.commands.run import Run
    from winslow_dagster.projects.domain.views import QuestionView
    from winslow_dagster.projects.installation import Installation

LARGEST_VALUE_BYTES = 8 << 20


@click.command("answer")
@click.argument("project")
@click.argument("stage", required=False)
@click.option(
    "--value",
    "values",
    multiple=True,
    metavar="NAME=VALUE",
    help="Value of a field; JSON is parsed. `NAME=@FILE` reads it from a file.",
)
@click.option("--file", "files", multiple=True, metavar="NAME=PATH", help="File for a file field.")
@pipeline_option
@click.option("--again", is_flag=True, help="Answer again; what depends on the earlier answer is then out of date.")
@click.option("--no-resume", "resume", is_flag=True, flag_value=False, default=True, help="Do not start a run.")
@detach_option
@json_option
def command(  # noqa: PLR0913  # click hands over each option, by name
    project: str,
    stage: str | None,
    values: tuple[str, ...],
    files: tuple[str, ...],
    pipeline: str | None,
    *,
    again: bool,
    resume: bool,
    detach: bool,
    as_json: bool,
) -> None:
    """Answer the question of STAGE, and resume PROJECT. Without STAGE, show the open questions.

    The value of points, polygons or lines may be a points file of the TrackerApplication. Implausible points are
    reported as warnings, and are sent all the same.

    With --json: without STAGE {"questions": [{stage, message, form}, …]}; else as `winslow run --json`.
    """
    if stage is None:
        _show_all(project, as_json=as_json)
        return
    answers = {name: _value(text) for name, text in pairs(values, "--value").items()}
    uploads = pairs(files, "--file")

    def give(winslow: Installation) -> Run | None:
        handle = winslow.project(project)
        for warning in handle.judge_answer(stage, answers, pipeline=pipeline).warnings:
            reporter(quiet=as_json)(f"warning: {warning}")
        previous = handle.question(stage, pipeline=pipeline).previous if again else None
        replaces = previous.version if previous else None
        return handle.answer(stage, answers, uploads, pipeline=pipeline, resume=resume, replaces=replaces)

    follow(project, give, detach=detach, as_json=as_json)


def _show_all(project: str, *, as_json: bool) -> None:
    with open_installation() as winslow:
        handle = winslow.project(project)
        questions, own = handle.questions(), handle.pipeline().name
        if as_json:
            print_json({"questions": [question.model_dump(mode="json") for question in questions]})
        elif not questions:
            say(f"{project} has no open questions")
        else:
            for question in questions:
                _show(project, question, own, _example(handle, question))


def _show(project: str, question: QuestionView, own: str, example: dict[str, Any]) -> None:
    console().print(f"{question.stage}: {question.message}", markup=False)
    if question.form:
        print_table(
            ("field", "kind", "description", "default"),
            [
                (
                    each["name"] + ("" if each.get("required", True) else " (optional)"),
                    each["kind"],
                    each.get("label") or each.get("help") or "",
                    str(each.get("default", "")),
                )
                for each in question.form
            ],
        )
    if question.asked_by_attempt and any(
        str(each.get("image") or each.get("video")).startswith("./") for each in question.form
    ):
        pictures = command_line("files", project, "--stage", question.stage, "--attempt", question.asked_by_attempt)
        console().print(f"to see the pictures: {pictures}", markup=False, soft_wrap=True)
    fields = [
        word
        for each in question.form
        for word in ("--file" if each["kind"] == "file" else "--value", f"{each['name']}=...")
    ]
    words = ("answer", project, question.stage, *pipeline_words(question.pipeline, own))
    fill_in = "to answer, replace each ... in: " if fields else "to answer: "
    console().print(f"{fill_in}{command_line(*words, *fields)}", markup=False, soft_wrap=True)
    if example:
        given = [word for name, value in example.items() for word in ("--value", f"{name}={_written(value)}")]
        console().print(f"for example: {command_line(*words, *given)}", markup=False, soft_wrap=True)


def _example(handle: ProjectHandle, question: QuestionView) -> dict[str, Any]:
    """A made-up answer; none if a required field has no example, or a picture is missing."""
    try:
        found = handle.example_answer(question.stage, pipeline=question.pipeline)
    except WinslowError:
        # The question is shown all the same.
        return {}
    required = {each["name"] for each in question.form if each.get("required", True)}
    return found if required <= set(found) else {}


def _written(value: Any) -> str:
    """The value as `_value` reads it back."""
    if isinstance(value, str) and not value.startswith("@") and _value(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)


def _value(text: str) -> Any:
    """Parsed JSON, or the text itself: `3`, `true`, `[{"x": 1, …}]`, `north`; or the content of `@FILE`."""
    if text.startswith("@"):
        text = _content(text[1:])
    try:
        return parse_json(text)
    except JsonMalformed:
        return text


def _content(name: str) -> str:
    path = expanded(Path(name))
    try:
        if path.stat().st_size > LARGEST_VALUE_BYTES:
            raise UsageError(f"{name} is too large for a value", expected=f"at most {LARGEST_VALUE_BYTES} bytes")
        return path.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{name} cannot be read: {error}",
            where="--value",
            expected="NAME=@FILE with a text file, or a JSON string for a text that begins with @",
        ) from error
