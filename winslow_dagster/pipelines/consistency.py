"""Checks of a pipeline file as a whole, such as duplicate names and cycles in `after`.

They work on plain data, so that they also run if single fields are invalid. They ignore values of the wrong type, which
the documents (schema/) report.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from typing import Any

from winslow_dagster.errors import TemplateMalformed
from winslow_dagster.pipelines.forms.validation import faults_between_fields, reference_faults
from winslow_dagster.pipelines.model.form import ANSWER
from winslow_dagster.pipelines.model.output_checks import check_name
from winslow_dagster.pipelines.model.pipeline import Stage
from winslow_dagster.pipelines.problems import named, nearest, shown
from winslow_dagster.pipelines.substitution import references
from winslow_dagster.pipelines.yaml.reader import Path, Tree

MOST_NAMES_LISTED = 12
MOST_CYCLES = 20
VIEW_FILES = frozenset({"table", "picture", "shapes", "video"})


def check_whole(tree: Tree, name: str) -> None:
    """Note all problems in `tree`. `name` is the name that the pipeline must have."""
    if not isinstance(tree.data, dict):
        return
    data = tree.data
    written = data.get("name")
    if isinstance(written, str) and written != name:
        what = f"the pipeline is named {shown(written)}, but its file is {name}.yaml"
        tree.note(tree.mark(("name",)), what, "the same name", name)
    for variable in _mapping(data.get("env")).keys() & _mapping(_mapping(data.get("defaults")).get("env")).keys():
        mark = tree.key_mark(("defaults", "env", variable))
        tree.note(mark, f"{named(variable)} is also set in the pipeline's `env`", "it in one place only")
    settings: list[tuple[Path, dict[str, Any]]] = [(("defaults",), _mapping(data.get("defaults")))]
    for index, stage in _stages(data):
        path: Path = ("stages", index)
        settings.append((path, stage))
        _check_program(tree, path, stage)
    for path, fields in settings:
        _check_needs_input(tree, path, fields)
        _check_exit_codes(tree, path, fields)
        _check_names_of_checks(tree, path, fields)
    _check_secrets(tree, [((), data), *settings])
    if ANSWER in _mapping(data.get("inputs")):
        what = f"`{ANSWER}` is reserved for the answers of forms"
        tree.note(tree.key_mark(("inputs", ANSWER)), what, "another name for the input")
    _check_form_references(tree, _check_order(tree))
    _check_views(tree, settings)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _stages(data: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    stages = data.get("stages")
    for index, stage in enumerate(stages if isinstance(stages, list) else ()):
        if isinstance(stage, dict):
            yield index, stage


def _check_program(tree: Tree, path: Path, stage: dict[str, Any]) -> None:
    sources = (stage, _mapping(tree.data.get("defaults")), tree.data)
    programs = (next((source[key] for source in sources if key in source), None) for key in ("image", "command"))
    if all(program in (None, "", []) for program in programs):
        label = f"the stage {shown(stage['name'])}" if isinstance(stage.get("name"), str) else "the stage"
        expected = "one of them, in the stage, in `defaults` or at the top level"
        tree.note(tree.mark(path), f"{label} has neither an `image` nor a `command`", expected)


def _check_views(tree: Tree, settings: list[tuple[Path, dict[str, Any]]]) -> None:
    """Views may show files of any stage, but of no other."""
    known = [stage["name"] for _, stage in _stages(tree.data) if isinstance(stage.get("name"), str)]
    for path, fields in settings:
        views = fields.get("views")
        for index, view in enumerate(views if isinstance(views, list) else ()):
            for key in VIEW_FILES & _mapping(view).keys():
                stage, slash, _ = str(view[key]).partition("/")
                if slash and stage not in known:
                    expected = (
                        f"one of {', '.join(known)}" if len(known) <= MOST_NAMES_LISTED else "a stage in this file"
                    )
                    what = f"{named(key)} names the unknown stage {shown(stage)}"
                    tree.note(tree.mark((*path, "views", index, key)), what, expected, nearest(stage, known))


def _check_needs_input(tree: Tree, path: Path, fields: dict[str, Any]) -> None:
    question = _mapping(fields.get("needs_input"))
    if question.get("when") == "unset" and not question.get("variables") and not question.get("form"):
        what = "`when: unset` has no variables to look at"
        tree.note(tree.mark((*path, "needs_input", "when")), what, "`variables` or a `form`")
    for found in faults_between_fields(question.get("form")):
        tree.note(tree.mark((*path, "needs_input", "form", *found.path)), found.what, found.expected, found.suggestion)


def _check_secrets(tree: Tree, settings: list[tuple[Path, dict[str, Any]]]) -> None:
    """A variable that is a secret anywhere in the file has no plain value, and no text contains it."""
    layers = [((*path, "env"), _mapping(fields.get("env"))) for path, fields in settings]
    secrets = {name for _, env in layers for name, value in env.items() if isinstance(value, dict)}
    if not secrets:
        return
    for path, env in layers:
        for name, value in env.items():
            if isinstance(value, str) and name in secrets:
                what = f"{named(name)} is a secret elsewhere in this file, but has a plain value here"
                tree.note(tree.mark((*path, name)), what, "`{secret: true}`, or no value")
    for path, fields in settings:
        _check_use_of_secrets(tree, path, fields, secrets)


def _check_use_of_secrets(tree: Tree, path: Path, fields: dict[str, Any], secrets: set[str]) -> None:
    for place, text in _templates(path, fields):
        with suppress(TemplateMalformed):  # noted where the field is parsed
            for name in sorted(references(text) & secrets):
                what = f"the secret {named(name)} cannot be part of another value"
                tree.note(tree.mark(place), what, f"a program that reads it from ${{WINSLOW_SECRETS_DIR}}/{name}")
    form = _mapping(fields.get("needs_input")).get("form")
    for index, field in enumerate(form if isinstance(form, list) else ()):
        variable = _mapping(field).get("variable", str(_mapping(field).get("name", "")).upper())
        if isinstance(variable, str) and variable in secrets:
            what = f"a form cannot ask for the secret {named(variable)}, because answers are shown"
            tree.note(tree.mark((*path, "needs_input", "form", index)), what, f"`winslow secret set {variable}`")


def _templates(path: Path, fields: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """All texts with variables, with their positions."""
    for key in ("image", "env", "args", "command"):
        written = fields.get(key)
        items = (
            written.items() if isinstance(written, dict) else enumerate(written if isinstance(written, list) else ())
        )
        for step, text in [*items, *([(None, written)] if isinstance(written, str) else [])]:
            if isinstance(text, str):
                yield (*path, key, *(() if step is None else (step,))), text


def _check_names_of_checks(tree: Tree, path: Path, fields: dict[str, Any]) -> None:
    checks = fields.get("checks")
    first: dict[str, int] = {}
    for index, check in enumerate(checks if isinstance(checks, list) else ()):
        kind = _mapping(check).get("kind")
        subject = _mapping(check).get("key" if kind == "result" else "glob")
        name = _mapping(check).get("name", check_name(str(kind), str(subject)))
        if not isinstance(name, str) or not isinstance(kind, str):
            continue
        if name in first:
            line = tree.mark((*path, "checks", first[name])).line
            what = f"two checks are named {shown(name)}, the other one on line {line}"
            tree.note(tree.mark((*path, "checks", index, "name")), what, "unique names")
        first.setdefault(name, index)


def _check_form_references(tree: Tree, edges: dict[str, dict[str, Path]]) -> None:
    """Forms may only refer to upstream stages. A form in `defaults` is checked for every stage."""
    defaults = _mapping(tree.data.get("defaults"))
    for index, stage in _stages(tree.data):
        own = "needs_input" in stage
        question = _mapping((stage if own else defaults).get("needs_input"))
        after = edges.get(stage["name"]) if isinstance(stage.get("name"), str) else None
        if after is None or not question.get("form"):
            continue
        upstream: dict[str, None] = {}
        waiting = list(after)
        while waiting:
            name = waiting.pop(0)
            if name not in upstream:
                upstream[name] = None
                waiting += edges.get(name, {})
        upstream.pop(stage["name"], None)
        place: Path = (*(("stages", index) if own else ("defaults",)), "needs_input", "form")
        for found in reference_faults(question["form"], list(after), list(upstream), str(question.get("when"))):
            tree.note(tree.mark((*place, *found.path)), found.what, found.expected, found.suggestion)


def _check_exit_codes(tree: Tree, path: Path, fields: dict[str, Any]) -> None:
    defaults = _mapping(tree.data.get("defaults"))

    def effective(key: str) -> Any:
        return fields.get(key, defaults.get(key, Stage.model_fields[key].default))

    waiting, successes = effective("awaiting_input_exit_code"), effective("success_exit_codes")
    here = [key for key in ("awaiting_input_exit_code", "success_exit_codes") if key in fields]
    if here and isinstance(successes, (list, tuple)) and type(waiting) is int and waiting in successes:
        what = f"exit code {waiting} means both success and awaiting input"
        tree.note(
            tree.mark((*path, here[0])), what, "different codes in `success_exit_codes` and `awaiting_input_exit_code`"
        )


def _check_order(tree: Tree) -> dict[str, dict[str, Path]]:
    """Note duplicate stages, unknown stages in `after`, and cycles. Returns the direct predecessors of each stage."""
    first: dict[str, int] = {}
    for index, stage in _stages(tree.data):
        name = stage.get("name")
        if not isinstance(name, str):
            continue
        if name in first:
            line = tree.mark(("stages", first[name], "name")).line
            what = f"two stages are named {shown(name)}, the other one on line {line}"
            tree.note(tree.mark(("stages", index, "name")), what, "unique names")
        else:
            first[name] = index
    edges: dict[str, dict[str, Path]] = {}
    above: str | None = None
    for index, stage in _stages(tree.data):
        name = stage.get("name")
        if not isinstance(name, str):
            above = None
            continue
        upstream = dict(_upstream(tree, index, stage, above, first))
        if first[name] == index:
            edges[name] = upstream
        above = name
    _note_cycles(tree, edges)
    return edges


def _upstream(
    tree: Tree, index: int, stage: dict[str, Any], above: str | None, known: dict[str, int]
) -> Iterator[tuple[str, Path]]:
    """The direct predecessors of a stage, with the position of each name; notes unknown names."""
    path: Path = ("stages", index, "after")
    if "after" not in stage:
        if above is not None and above != stage["name"]:
            yield above, ("stages", index)
        return
    written = stage["after"]
    one = isinstance(written, str)
    seen: set[str] = set()
    for position, name in enumerate([written] if one else written if isinstance(written, list) else ()):
        place = path if one else (*path, position)
        if not isinstance(name, str):
            continue
        if name in seen:
            tree.note(tree.mark(place), f"`after` names {shown(name)} twice", "each stage once")
        elif name == stage["name"]:
            tree.note(
                tree.mark(place), f"the stage {shown(name)} is in its own `after`", "another stage, or `[]` for none"
            )
        elif name not in known:
            few = len(known) <= MOST_NAMES_LISTED
            expected = f"one of {', '.join(known)}" if few else "the name of a stage in this file"
            others = [other for other in known if other != stage["name"]]
            tree.note(
                tree.mark(place),
                f"`after` names the unknown stage {shown(name)}",
                expected,
                nearest(name, others),
            )
        else:
            yield name, place
        seen.add(name)


def _note_cycles(tree: Tree, edges: dict[str, dict[str, Path]]) -> None:
    """Note each cycle, and break it where it was noted, to find the next."""
    for _ in range(MOST_CYCLES):
        try:
            TopologicalSorter(edges).prepare()
        except CycleError as error:
            cycle: list[str] = error.args[1]
            # Start with the stage that comes first in the file; each comes before the next.
            start = min(range(len(cycle) - 1), key=lambda at: list(edges).index(cycle[at]))
            cycle = [*cycle[start:-1], *cycle[: start + 1]]
            place = edges[cycle[0]].pop(cycle[-2])
            what = f"the stages form a cycle: {' -> '.join(cycle)}"
            tree.note(tree.mark(place), what, "`after` without cycles")
        else:
            return
