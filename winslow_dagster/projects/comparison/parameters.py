"""The parameters of an attempt, each under a readable path, with all layers of variables merged."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from winslow_dagster.errors import TemplateMalformed, VariableMissing
from winslow_dagster.pipelines.substitution import resolve_environment, substitute
from winslow_dagster.stages.launchers.base import Places
from winslow_dagster.stages.launchers.stage_variables import planned_variables
from winslow_dagster.stages.task.model import StageTask
from winslow_dagster.storage.manifest import Manifest

Value = str | float | bool | None
"""A parameter; None if it is not set. Files are represented by their blake3."""

_IDENTITY = {
    *("task_id", "project", "pipeline", "stage", "attempt", "run_id", "continues"),
    *("output_address", "log_address", "store_url", "s3_endpoint"),
}
_OWN_ROWS = {"env_layers", "command", "args", "inputs", "resources"}
_PLACES = Places(
    input="${WINSLOW_INPUT_DIR}",
    resources="${WINSLOW_RESOURCES_DIR}",
    output="${WINSLOW_OUTPUT_DIR}",
    checkpoint="${WINSLOW_CHECKPOINT_DIR}",
    secrets="${WINSLOW_SECRETS_DIR}",
)


class Words(BaseModel):
    """Words of a command line that are on both sides, only on the left (removed), or only on the right (added)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    side: Literal["both", "left", "right"]
    text: str


def parameters(task: StageTask) -> tuple[dict[str, Value], str]:
    """Path -> value of everything that can make two attempts differ, and a note if a template has no value.

    `env.THRESHOLD` is the value that the stage saw; a secret has its name and a digest. Values that only a node knows,
    such as directories, appear as `${WINSLOW_…}`. Input files are `inputs.<stage>/<path>`, those of the project
    `resources.<name>/<path>`.
    """
    env, words, note = filled_in(task)
    found: dict[str, Value] = {f"env.{name}": value for name, value in env.items()}
    found |= {f"env.{name}": f"{secret}, version {secret.digest[:8]}" for name, secret in task.secrets.items()}
    found |= {name: shlex.join(part) for name, part in words.items() if part}
    rest = task.model_dump(mode="json", exclude=_IDENTITY | _OWN_ROWS)
    found |= _flat(rest)
    for kind, trees in (("inputs", task.inputs), ("resources", task.resources)):
        found |= _contents(kind, trees)
    return found, note


def differing(all_parameters: Iterable[Mapping[str, Value]]) -> tuple[str, ...]:
    """The paths whose values differ, sorted."""
    all_parameters = list(all_parameters)
    paths = sorted({path for found in all_parameters for path in found})
    return tuple(path for path in paths if len({typed(found.get(path)) for found in all_parameters}) > 1)


def word_difference(left: str, right: str) -> tuple[Words, ...]:
    """Compare two command lines word by word. Swapped, only the sides change."""
    if left > right:  # the matcher's choice between equally good matches must not depend on the sides
        swapped: dict[str, Literal["both", "left", "right"]] = {"both": "both", "left": "right", "right": "left"}
        parts = [part.model_copy(update={"side": swapped[part.side]}) for part in word_difference(right, left)]
        return tuple(_left_before_right(parts))
    one, other = _shell_words(left), _shell_words(right)
    parts = []
    for _, begin, end, other_begin, other_end in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        left_text, right_text = shlex.join(one[begin:end]), shlex.join(other[other_begin:other_end])
        if one[begin:end] == other[other_begin:other_end]:
            parts.append(Words(side="both", text=left_text))
            continue
        if end > begin:
            parts.append(Words(side="left", text=left_text))
        if other_end > other_begin:
            parts.append(Words(side="right", text=right_text))
    return tuple(parts)


def _left_before_right(parts: list[Words]) -> list[Words]:
    ordered: list[Words] = []
    for part in parts:
        if part.side == "left" and ordered and ordered[-1].side == "right":
            ordered.insert(-1, part)
        else:
            ordered.append(part)
    return ordered


def filled_in(task: StageTask) -> tuple[dict[str, str], dict[str, tuple[str, ...]], str]:
    """Environment without secrets, and command line, as the stage saw them, or unchanged if a variable has no value.

    The last is why they are unchanged.
    """
    builtin = {name: f"${{{name}}}" for name in planned_variables(task, _PLACES)}
    try:
        env = resolve_environment(task.env_layers, builtin)
        words = {
            name: tuple(substitute(word, env) for word in part)
            for name, part in (("command", task.command), ("args", task.args))
        }
    except (VariableMissing, TemplateMalformed) as error:
        raw = {name: str(value) for layer in task.env_layers for name, value in layer.items()}
        note = f"{task.task_id} is shown with its variables not filled in: {error}"
        return raw, {"command": task.command, "args": task.args}, note
    return {name: value for name, value in env.items() if name not in builtin}, words, ""


def _flat(value: Any, path: str = "") -> dict[str, Value]:
    """Nested settings under dotted paths, without those that are not set."""
    if isinstance(value, Mapping):
        items = [(str(key), part) for key, part in value.items()]
    elif isinstance(value, list):
        items = [(str(number), part) for number, part in enumerate(value, 1)]
    else:
        return {} if value is None else {path: value}
    return {name: found for key, part in items for name, found in _flat(part, f"{path}.{key}" if path else key).items()}


def _contents(kind: str, trees: Mapping[str, Manifest]) -> dict[str, Value]:
    return {f"{kind}.{name}/{file.path}": file.blake3 for name, tree in trees.items() for file in tree.files}


def typed(value: Value) -> tuple[str, Value]:
    """A value as it is compared: True differs from 1, and 1 equals 1.0."""
    kind = "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
    return kind, value


def _shell_words(text: str) -> list[str]:
    return shlex.split(text) if text else []
