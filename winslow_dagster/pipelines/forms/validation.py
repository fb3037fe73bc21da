"""Checks of a form as a whole, and of its references to stages.

Works on plain data, as consistency.py does, and leaves values of the wrong type to the documents (schema/).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import PydanticCustomError

from winslow_dagster.pipelines.model.form import ANSWER, INPUT, OWN_OUTPUT
from winslow_dagster.pipelines.problems import named, nearest, shown
from winslow_dagster.pipelines.schema.validation_messages import Finding, Path
from winslow_dagster.pipelines.schema.value_parsers import NAME, read_variable_name

MOST_NAMES_LISTED = 12


def faults_between_fields(form: Any) -> Iterator[Finding]:
    """Duplicate names and variables, and more than one confirm field. Paths start in the list of fields."""
    names: dict[str, int] = {}
    variables: dict[str, str] = {}
    confirmed = False
    for index, field in _fields(form):
        name = field.get("name")
        if field.get("kind") == "confirm":
            if confirmed:
                yield Finding((index,), "a form has two confirm fields", "at most one")
            confirmed = True
        if not isinstance(name, str):
            continue
        if name == ANSWER:
            yield Finding((index, "name"), f"{named(name)} is reserved for the file with all answers", "another name")
        if name in names:
            what = f"two fields are named {shown(name)}, the other one is field {names[name] + 1}"
            yield Finding((index, "name"), what, "unique names")
            continue
        names[name] = index
        if field.get("kind") != "confirm":
            yield from _variable_faults(index, name, field, variables)


def _variable_faults(index: int, name: str, field: Mapping[str, Any], taken: dict[str, str]) -> Iterator[Finding]:
    written = field.get("variable")
    variable = written if isinstance(written, str) else name.upper()
    path: Path = (index, "variable") if isinstance(written, str) else (index, "name")
    if variable in taken:
        what = f"the fields {shown(taken[variable])} and {shown(name)} set the same variable {named(variable)}"
        yield Finding(path, what, "a different `variable` for each")
    taken.setdefault(variable, name)
    if written is None and NAME.fullmatch(name):
        try:
            read_variable_name(variable)
        except PydanticCustomError:
            yield Finding(path, f"the field {shown(name)} cannot set {named(variable)}", "another `variable`")


def reference_faults(form: Any, after: Sequence[str], upstream: Sequence[str], when: str) -> Iterator[Finding]:
    """References of a form to stages that are not upstream of the asking stage."""
    for index, field in _fields(form):
        stage = field.get("stage")
        for key in ("image", "video", "propose"):
            output = field.get(key)
            if not isinstance(output, str) or "/" not in output or output.startswith(INPUT):
                continue
            if not output.startswith(OWN_OUTPUT):
                yield from _not_upstream((index, key), output.partition("/")[0], upstream)
            elif when != "asked":
                what = f"`{key}` {shown(output)} does not exist yet when the question is asked"
                yield Finding((index, key), what, "an output of an upstream stage, or `when: asked`")
        if field.get("kind") == "confirm":
            if isinstance(stage, str):
                yield from _not_upstream((index, "stage"), stage, upstream)
            elif len(after) != 1:
                before = f"{len(after)} stages come" if after else "no stage comes"
                what = f"the confirm field needs a `stage`: {before} directly before it"
                yield Finding((index,), what, "`stage: …`")


def _not_upstream(path: Path, name: str, upstream: Sequence[str]) -> Iterator[Finding]:
    if name not in upstream:
        few = 0 < len(upstream) <= MOST_NAMES_LISTED
        expected = f"one of {', '.join(upstream)}" if few else "an upstream stage, but there is none"
        expected = expected if few or not upstream else "an upstream stage"
        what = f"`{path[-1]}` names the stage {shown(name)}, which is not upstream"
        yield Finding(path, what, expected, nearest(name, upstream))


def with_default_stage(form: dict[str, Any], after: Sequence[str]) -> dict[str, Any]:
    """A form, or a `needs_input`, whose confirm field without a `stage` refers to the only one of `after`."""
    if "form" not in form or len(after) != 1:
        return form
    fields = [{"stage": after[0]} | field if field["kind"] == "confirm" else field for field in form["form"]]
    return form | {"form": fields}


def _fields(form: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for index, field in enumerate(form if isinstance(form, list) else ()):
        if isinstance(field, dict):
            yield index, field
