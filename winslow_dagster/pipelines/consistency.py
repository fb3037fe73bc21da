"""What a file must be beyond the form of its single fields: names that meet, and `after` without cycles.

The checks work on the plain data, so that they find what they can beside faults of single fields; where the data has
not the right form they say nothing, because the documents (documents.py) say it.
"""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

from winslow_dagster.pipelines.forms.validation import faults_around_form, faults_between_fields
from winslow_dagster.pipelines.model.form import ANSWER
from winslow_dagster.pipelines.model.output_checks import check_name
from winslow_dagster.pipelines.model.pipeline import Stage
from winslow_dagster.pipelines.problems import named, nearest, shown
from winslow_dagster.pipelines.yaml.reader import Path, Tree

MOST_NAMES_LISTED = 12
MOST_CYCLES = 20


def check_whole(tree: Tree, name: str) -> None:
    """Note in `tree` everything that is wrong between fields. `name` is what the pipeline has to be called."""
    if not isinstance(tree.data, dict):
        return
    data = tree.data
    written = data.get("name")
    if isinstance(written, str) and written != name:
        what = f"the pipeline is called {shown(written)} and its file {name}.yaml"
        tree.note(tree.mark(("name",)), what, "the same name for both", name)
    for variable in _mapping(data.get("env")).keys() & _mapping(_mapping(data.get("defaults")).get("env")).keys():
        mark = tree.key_mark(("defaults", "env", variable))
        tree.note(mark, f"{named(variable)} is also set in the pipeline's `env`", "it in one place only")
    settings: list[tuple[Path, dict[str, Any]]] = [(("defaults",), _mapping(data.get("defaults")))]
    for index, stage in _stages(data):
        path: Path = ("stages", index)
        settings.append((path, stage))
        _check_program(tree, path, stage)
    for path, given in settings:
        _check_needs_input(tree, path, given)
        _check_exit_codes(tree, path, given)
        _check_names_of_checks(tree, path, given)
    if ANSWER in _mapping(data.get("inputs")):
        what = f"`{ANSWER}` is reserved for the answers of forms"
        tree.note(tree.key_mark(("inputs", ANSWER)), what, "another name for the input")
    _check_forms_in_place(tree, _check_order(tree))


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


def _check_needs_input(tree: Tree, path: Path, given: dict[str, Any]) -> None:
    asked = _mapping(given.get("needs_input"))
    if asked.get("when") == "unset" and not asked.get("variables") and not asked.get("form"):
        what = "`when: unset` has no variables to look at"
        tree.note(tree.mark((*path, "needs_input", "when")), what, "`variables` or a `form`")
    for found in faults_between_fields(asked.get("form")):
        tree.note(tree.mark((*path, "needs_input", "form", *found.path)), found.what, found.expected, found.suggestion)


def _check_names_of_checks(tree: Tree, path: Path, given: dict[str, Any]) -> None:
    checks = given.get("checks")
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


def _check_forms_in_place(tree: Tree, edges: dict[str, dict[str, Path]]) -> None:
    """Forms name stages that have run when the person is asked. A form of `defaults` is looked at for every stage."""
    defaults = _mapping(tree.data.get("defaults"))
    for index, stage in _stages(tree.data):
        own = "needs_input" in stage
        asked = _mapping((stage if own else defaults).get("needs_input"))
        after = edges.get(stage["name"]) if isinstance(stage.get("name"), str) else None
        if after is None or not asked.get("form"):
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
        for found in faults_around_form(asked["form"], list(after), list(upstream), str(asked.get("when"))):
            tree.note(tree.mark((*place, *found.path)), found.what, found.expected, found.suggestion)


def _check_exit_codes(tree: Tree, path: Path, given: dict[str, Any]) -> None:
    defaults = _mapping(tree.data.get("defaults"))

    def effective(key: str) -> Any:
        return given.get(key, defaults.get(key, Stage.model_fields[key].default))

    waiting, successes = effective("awaiting_input_exit_code"), effective("success_exit_codes")
    here = [key for key in ("awaiting_input_exit_code", "success_exit_codes") if key in given]
    if here and isinstance(successes, (list, tuple)) and type(waiting) is int and waiting in successes:
        what = f"exit code {waiting} means both success and awaiting input"
        tree.note(
            tree.mark((*path, here[0])), what, "different codes in `success_exit_codes` and `awaiting_input_exit_code`"
        )


def _check_order(tree: Tree) -> dict[str, dict[str, Path]]:
    """Names that stand twice, `after` without such a stage, and circles. Gives what each stage comes after."""
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
    _note_circles(tree, edges)
    return edges


def _upstream(
    tree: Tree, index: int, stage: dict[str, Any], above: str | None, known: dict[str, int]
) -> Iterator[tuple[str, Path]]:
    """The stages that one stage comes after, with where each is named; notes the names that lead nowhere."""
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


def _note_circles(tree: Tree, edges: dict[str, dict[str, Path]]) -> None:
    """One problem for each circle; a circle is opened where it was noted, to find the next."""
    for _ in range(MOST_CYCLES):
        try:
            TopologicalSorter(edges).prepare()
        except CycleError as error:
            circle: list[str] = error.args[1]
            # Told from the stage that stands first in the file; each comes before the next.
            start = min(range(len(circle) - 1), key=lambda at: list(edges).index(circle[at]))
            circle = [*circle[start:-1], *circle[: start + 1]]
            place = edges[circle[0]].pop(circle[-2])
            what = f"the stages form a cycle: {' -> '.join(circle)}"
            tree.note(tree.mark(place), what, "`after` without cycles")
        else:
            return
