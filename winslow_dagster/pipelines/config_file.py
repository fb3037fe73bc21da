"""Loads and validates a YAML file: pipelines, watched folders and notification channels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from winslow_dagster.errors import PipelineInvalid
from winslow_dagster.pipelines.schema.base import Document
from winslow_dagster.pipelines.schema.validation_messages import findings
from winslow_dagster.pipelines.yaml.composer import LARGEST_FILE_BYTES, Mark, unusable
from winslow_dagster.pipelines.yaml.reader import Tree, read_tree

AnyDocument = TypeVar("AnyDocument", bound=Document)
Check = Callable[[Tree, AnyDocument | None], None]
"""Notes problems of the file as a whole. There is no document if its fields have problems."""

_ONLY_COMMENTS = re.compile(rb"(\s*(#[^\n]*)?(\n|\Z))*")


def read_content(path: Path) -> bytes:
    """The bytes of a file. Raises PipelineInvalid if there is no readable file."""
    try:
        if path.exists() and not path.is_file():
            raise unusable(str(path), Mark(1, 1), "not a file", "a YAML file")
        with path.open("rb") as file:
            return file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        what = f"the file cannot be read: {error.strerror}"
        raise unusable(str(path), Mark(1, 1), what, "a file that this user can read") from error


def parse_document(
    content: bytes, file: str, document_type: type[AnyDocument], check: Check[AnyDocument]
) -> AnyDocument:
    """The document in `content`. `file` is named in messages.

    Raises PipelineInvalid with all problems, in the order of the file.
    """
    tree = read_tree(content, file)
    document: AnyDocument | None = None
    try:
        document = document_type.model_validate(tree.data)
    except ValidationError as error:
        for found in findings(error, document_type):
            if found.empty:
                continue  # already noted by the reader
            mark = tree.key_mark(found.path) if found.at_key else tree.mark(found.path)
            tree.note(mark, found.what, found.expected, found.suggestion)
    check(tree, document)
    if tree.problems or document is None:
        problems = tuple(sorted(set(tree.problems)))
        raise PipelineInvalid("\n".join(map(str, problems)), problems=problems)
    return document


def load_config(
    path: Path, document_type: type[AnyDocument], error_type: type[PipelineInvalid], check: Check[AnyDocument]
) -> AnyDocument | None:
    """The document of an optional file; None if the file is missing or has only comments.

    Raises `error_type` with all problems.
    """
    with _raising(error_type):
        content = read_content(path) if path.exists() else b""
    return parse_config(content, str(path), document_type, error_type, check)


def parse_config(
    content: bytes,
    file: str,
    document_type: type[AnyDocument],
    error_type: type[PipelineInvalid],
    check: Check[AnyDocument],
) -> AnyDocument | None:
    """The same, from the content of a file."""
    if _ONLY_COMMENTS.fullmatch(content):
        return None
    with _raising(error_type):
        return parse_document(content, file, document_type, check)


@contextmanager
def _raising(error_type: type[PipelineInvalid]) -> Iterator[None]:
    try:
        yield
    except PipelineInvalid as error:
        raise error_type(error.what, problems=error.problems) from error
