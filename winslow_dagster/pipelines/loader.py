"""A pipeline file to a `Pipeline`, or to everything that is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from winslow_dagster.errors import PipelineInvalid
from winslow_dagster.pipelines import reading
from winslow_dagster.pipelines.checks import check_whole
from winslow_dagster.pipelines.composing import LARGEST_FILE_BYTES, Mark, unusable
from winslow_dagster.pipelines.documents import Document, PipelineDocument
from winslow_dagster.pipelines.model import LogRules, Pipeline
from winslow_dagster.pipelines.problems import named, nearest, shown

SUFFIX = ".yaml"
MOST_PROBLEMS = 500

# Names that other tools use for the same thing.
SYNONYMS = {
    "depends_on": "after",
    "needs": "after",
    "requires": "after",
    "environment": "env",
    "entrypoint": "command",
    "cmd": "command",
    "arguments": "args",
    "shm_size": "shm",
    "steps": "stages",
}
FORMS = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "too_short": "at least one",
    "string_too_short": "a text that is not empty",
}
BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
}
BOOLEANS = {"on": "true", "yes": "true", "y": "true", "off": "false", "no": "false", "n": "false"}


def load_pipeline(path: Path) -> Pipeline:
    """The pipeline of a file. Raises PipelineInvalid with all problems of the file."""
    return parse_pipeline(read_content(path), str(path), path.stem)


def read_content(path: Path) -> bytes:
    """The bytes of a pipeline file. Raises PipelineInvalid where there is no readable file."""
    try:
        if path.exists() and not path.is_file():
            raise unusable(str(path), Mark(1, 1), "this is not a file", "a YAML file")
        with path.open("rb") as file:
            return file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        what = f"the file cannot be read: {error.strerror}"
        raise unusable(str(path), Mark(1, 1), what, "a file that this user may read") from error


def parse_pipeline(content: bytes, file: str, name: str) -> Pipeline:
    """The pipeline in `content`. `file` stands in messages; `name` is what the pipeline has to be called.

    Raises PipelineInvalid with all problems, in the order of the file.
    """
    tree = reading.read_tree(content, file)
    document: PipelineDocument | None = None
    try:
        document = PipelineDocument.model_validate(tree.data)
    except ValidationError as error:
        for details in error.errors(include_url=False)[:MOST_PROBLEMS]:
            _note(tree, details)
    check_whole(tree, name)
    if tree.problems or document is None:
        problems = tuple(sorted(set(tree.problems)))
        raise PipelineInvalid("\n".join(map(str, problems)), problems=problems)
    return _resolve(document)


def _resolve(document: PipelineDocument) -> Pipeline:
    """The same pipeline with its defaults applied to every stage."""
    whole = document.resolved()
    defaults: dict[str, Any] = whole.pop("defaults", {})
    # The pipeline's variables stay a layer below a stage's own: a value there may refer to the one it covers.
    whole["env"] = whole.get("env", {}) | defaults.pop("env", {})
    shared = {key: whole.pop(key) for key in ("image", "command") if key in whole} | defaults
    above: tuple[str, ...] = ()
    stages = []
    for stage in whole["stages"]:
        values = {"after": above} | shared | stage
        if values.get("gpu", {}).get("count") == 0:
            del values["gpu"]
        values["log"] = {key: values.pop(key) for key in LogRules.model_fields if key in values}
        stages.append(values)
        above = (stage["name"],)
    return Pipeline.model_validate(whole | {"stages": stages})


def _note(tree: reading.Tree, details: ErrorDetails) -> None:
    """Add one finding of pydantic, in the words of a pipeline file."""
    path, kind, value = details["loc"], details["type"], details["input"]
    context = details.get("ctx", {})
    at_key = path[-1:] == ("[key]",)
    path = path[:-1] if at_key else path
    label = _label(path[:-1] if at_key else path)
    mark = tree.key_mark(path) if at_key else tree.mark(path)
    if kind == "missing":
        tree.note(mark, f"{_document_at(path[:-1]).called} has no `{path[-1]}`", f"`{path[-1]}: …`")
    elif value is None:
        return  # reading.py has noted it
    elif kind == "extra_forbidden":
        _note_unknown(tree, path)
    elif kind == "refused":
        joint = " " if context["what"].startswith("is ") else ": "
        tree.note(mark, f"{label}{joint}{context['what']}", context["expected"], context["suggestion"])
    elif kind == "literal_error":
        choices = re.findall(r"'([^']*)'", context["expected"])
        close = nearest(value, choices) if isinstance(value, str) else ""
        tree.note(mark, f"{label} is {shown(value)}", f"one of {', '.join(choices)}", close)
    elif kind in BOUNDS:
        words, key = BOUNDS[kind]
        tree.note(mark, f"{label} is {shown(value)}", f"{words} {context[key]:g}")
    else:
        what = f"{label} is empty" if kind.endswith("too_short") else f"{label} is {shown(value)}"
        tree.note(mark, what, FORMS.get(kind, details["msg"]), _as_meant(kind, value))


def _note_unknown(tree: reading.Tree, path: reading.Path) -> None:
    """A field that is not known, with the one that was probably meant."""
    document = _document_at(path[:-1])
    name, known = str(path[-1]), list(document.model_fields)
    synonym = SYNONYMS.get(name, "")
    suggestion = synonym if synonym in known else nearest(name, known)
    expected = f"a field of {document.called}" if suggestion else f"one of {', '.join(known)}"
    tree.note(tree.key_mark(path), f"{document.called} has no field {named(name)}", expected, suggestion)


def _as_meant(kind: str, value: object) -> str:
    """The value in the form that was expected, where that is clear."""
    if kind == "bool_type" and isinstance(value, str):
        return BOOLEANS.get(value.lower(), "")
    if kind in {"int_type", "float_type"} and isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
        return value
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return f'"{shown(value)}"'
    return f"[{shown(value)}]" if kind == "list_type" and isinstance(value, (str, int, float)) else ""


def _label(path: reading.Path) -> str:
    """The name of a field as a reader finds it: the last key, with the positions in its list."""
    keys = [index for index, step in enumerate(path) if isinstance(step, str)]
    if not keys:
        return "the file"
    name = named(path[keys[-1]])
    return name if keys[-1] == len(path) - 1 else f"an item of {name}"


def _document_at(path: reading.Path) -> type[Document]:
    """The document that the mapping at `path` is read as."""
    document: type[Document] = PipelineDocument
    keys = iter(path)
    for step in keys:
        if isinstance(step, str) and step in document.model_fields:
            annotation = document.model_fields[step].annotation
            if inner := _inner_document(annotation):
                document = inner
                if _is_by_name(annotation):
                    next(keys, None)
    return document


def _inner_document(annotation: Any) -> type[Document] | None:
    if isinstance(annotation, type) and issubclass(annotation, Document):
        return annotation
    return next(filter(None, map(_inner_document, get_args(annotation))), None)


def _is_by_name(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(get_origin(part) is dict for part in get_args(annotation))
