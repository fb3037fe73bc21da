"""pydantic's validation errors, in terms of the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from winslow_dagster.pipelines.problems import named, nearest, printable, shown
from winslow_dagster.pipelines.schema.base import Document

Path = tuple[str | int, ...]

MOST_FINDINGS = 500
TAG = "kind"
"""The field that selects one of several kinds of mappings."""

# Names that other tools use, and former names.
SYNONYMS = {
    "depends_on": "after",
    "needs": "after",
    "requires": "after",
    "environment": "env",
    "entrypoint": "command",
    "cmd": "command",
    "arguments": "args",
    "shm": "shm_size",
    "grace": "stop_grace_period",
    "stop_timeout": "stop_grace_period",
    "nodes": "node_tags",
    "keep": "retention",
    "stops": "blocking",
    "error_line_fails": "fail_on_error_line",
    "await_input_exit_code": "awaiting_input_exit_code",
    "steps": "stages",
    "file": "glob",
    "path": "glob",
    "type": "kind",
    "title": "label",
    "place": "source",
    "settle": "stable_for",
    "at_once": "max_concurrent",
    "set_aside_dir": "quarantine_dir",
    "match": "path_regex",
    "start": "auto_start",
    "waits_longer": "waiting_too_long",
    "needs_you": "action_required",
    "at_most": "rate_limit",
    "per": "rate_limit",
    "link": "base_url",
}
FORMS = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "too_short": "at least one",
    "string_too_short": "a non-empty string",
}
BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
}
BOOLEANS = {"on": "true", "yes": "true", "y": "true", "off": "false", "no": "false", "n": "false"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of the value at `path`, or of its key if `at_key`. `empty`: the file has no value there."""

    path: Path
    what: str
    expected: str = ""
    suggestion: str = ""
    at_key: bool = False
    empty: bool = False

    def __str__(self) -> str:
        """The sentence with the path, for sources without line numbers."""
        text = f"{path_text(self.path)}: {self.what}" if self.path else self.what
        text += f"; expected {self.expected}" if self.expected else ""
        return printable(text + (f"; did you mean {self.suggestion}?" if self.suggestion else ""))


def path_text(path: Path) -> str:
    """A path such as `form[2].options[1]`, counted from 1."""
    return "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def findings(error: ValidationError, root: type[Document]) -> Iterator[Finding]:
    """The faults of a mapping that was validated as `root`, up to a few hundred."""
    for details in error.errors(include_url=False)[:MOST_FINDINGS]:
        yield replace(_finding(details, root), empty=details["type"] != "missing" and details["input"] is None)


def _finding(details: ErrorDetails, root: type[Document]) -> Finding:
    location, kind, value = details["loc"], details["type"], details["input"]
    context = details.get("ctx", {})
    at_key = location[-1:] == ("[key]",)
    path, _ = _located(location[:-1] if at_key else location, root)
    label = _label(path[:-1] if at_key else path)
    found = Finding(path, f"{label} is {shown(value)}", FORMS.get(kind, details["msg"]), _as_meant(kind, value), at_key)
    if kind == "missing":
        _, document = _located(location[:-1], root)
        found = Finding(path[:-1], f"{document.noun} has no `{path[-1]}`", f"`{path[-1]}: …`")
    elif kind == "extra_forbidden":
        _, document = _located(location[:-1], root)
        found = _unknown(path, document)
    elif kind.startswith("union_tag"):
        found = _unknown_kind(path, label, value, _choices(location, root))
    elif kind == "refused":
        joint = " " if context["what"].startswith("is ") else ": "
        found = Finding(path, f"{label}{joint}{context['what']}", context["expected"], context["suggestion"], at_key)
    elif kind == "literal_error":
        choices = re.findall(r"'([^']*)'", context["expected"])
        close = _close(value, choices) if isinstance(value, str) else ""
        found = Finding(path, f"{label} is {shown(value)}", f"one of {', '.join(choices)}", close)
    elif kind in BOUNDS:
        bound, key = BOUNDS[kind]
        found = Finding(path, f"{label} is {shown(value)}", f"{bound} {context[key]:g}", at_key=at_key)
    elif kind.endswith("too_long"):
        found = Finding(path, f"{label} is too long", f"at most {context['max_length']}", at_key=at_key)
    elif kind.endswith("too_short"):
        found = Finding(path, f"{label} is empty", found.expected, at_key=at_key)
        if context.get("min_length", 1) > 1:
            found = Finding(path, f"{label} is too short", f"at least {context['min_length']}", at_key=at_key)
    return found


def _unknown(path: Path, document: type[Document]) -> Finding:
    """An unknown field, with the field that was probably meant."""
    name, known = str(path[-1]), list(document.model_fields)
    suggestion = _close(name, known)
    expected = f"a field of {document.noun}" if suggestion else f"one of {', '.join(known)}"
    return Finding(path, f"{document.noun} has no field {named(name)}", expected, suggestion, at_key=True)


def _close(name: str, known: list[str]) -> str:
    synonym = SYNONYMS.get(name, "")
    return synonym if synonym in known else nearest(name, known)


def _unknown_kind(path: Path, label: str, value: Any, choices: list[str]) -> Finding:
    """A mapping without a `kind`, or with an unknown one."""
    tag = value.get(TAG) if isinstance(value, dict) else None
    expected = f"one of {', '.join(choices)}"
    if tag is None:
        return Finding(path, f"{label} has no `{TAG}`", f"`{TAG}`, {expected}")
    close = nearest(tag, choices) if isinstance(tag, str) else ""
    return Finding((*path, TAG), f"`{TAG}` is {shown(tag)}", expected, close)


def _as_meant(kind: str, value: object) -> str:
    """The value in the expected form, if that is clear."""
    if kind == "bool_type" and isinstance(value, str):
        return BOOLEANS.get(value.lower(), "")
    if kind in {"int_type", "float_type"} and isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
        return value
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return f'"{shown(value)}"'
    return f"[{shown(value)}]" if kind == "list_type" and isinstance(value, (str, int, float)) else ""


def _label(path: Path) -> str:
    """The field as messages name it: the last key of the path, or an item of its list."""
    keys = [index for index, step in enumerate(path) if isinstance(step, str)]
    if not keys:
        return "the file"
    name = named(path[keys[-1]])
    return name if keys[-1] == len(path) - 1 else f"an item of {name}"


def _located(location: Path, root: type[Document]) -> tuple[Path, type[Document]]:
    """The path in the file, and the document that validates the mapping at its end.

    pydantic adds the `kind` of a mapping to its location, which is no step in the file.
    """
    document = root
    path: list[str | int] = []
    steps = iter(location)
    for step in steps:
        path.append(step)
        if not isinstance(step, str) or step not in document.model_fields:
            continue
        annotation = document.model_fields[step].annotation
        inner = _documents(annotation)
        if inner and (len(inner) > 1 or _is_by_name(annotation)):
            path += [key for key in (next(steps, None),) if key is not None]
        if len(inner) > 1:
            kind = next(steps, None)
            document = next((one for one in inner if _tag(one) == kind), document)
        elif inner:
            document = inner[0]
    return tuple(path), document


def _choices(location: Path, root: type[Document]) -> list[str]:
    """The kinds that the mapping at `location` may have."""
    _, document = _located(location[:-2], root)
    return [_tag(kind) for kind in _documents(document.model_fields[str(location[-2])].annotation)]


def _tag(document: type[Document]) -> str:
    return str(get_args(document.model_fields[TAG].annotation)[0])


def _documents(annotation: Any) -> list[type[Document]]:
    if isinstance(annotation, type) and issubclass(annotation, Document):
        return [annotation]
    return [document for part in get_args(annotation) for document in _documents(part)]


def _is_by_name(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(get_origin(part) is dict for part in get_args(annotation))
