"""Every field that a person may write in a YAML file has an effect: none is checked, kept and then read by nothing.

mypy knows of every attribute access in which class the attribute is defined, so that `task.node_tags` does not pass for
`stage.node_tags`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args, get_origin

import pytest
from mypy import build
from mypy.modulefinder import BuildSource
from mypy.nodes import MemberExpr
from mypy.options import Options
from mypy.plugin import AttributeContext, Plugin
from mypy.types import Type

from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.pipelines.model.pipeline import Stage
from winslow_dagster.pipelines.schema.base import Document
from winslow_dagster.pipelines.schema.pipeline_fields import PipelineDocument, StageDocument
from winslow_dagster.projects.ingest.config import WatchFileDocument
from winslow_dagster.projects.notifications.config import NotifyDocument

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "winslow_dagster"
# These read a field to check it, to copy it or to describe it: that is no effect.
MACHINERY = ("pipelines/schema/", "pipelines/yaml/", "pipelines/changes.py", "pipelines/consistency.py")
LOADER = PACKAGE / "pipelines" / "loader.py"
# mypy does not know what a template reads.
DRAWN = (PACKAGE / "console" / "templates" / "project" / "view.html").read_text()


class NotesReads(Plugin):
    """Notes every attribute that typed code reads, by the class that defines it."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.reads: set[str] = set()

    def get_attribute_hook(self, fullname: str) -> Callable[[AttributeContext], Type]:
        def note(context: AttributeContext) -> Type:
            expression = context.context
            if isinstance(expression, MemberExpr) and not context.is_lvalue and has_effect(context.api.path):
                self.reads.add(fullname)
            return context.default_attr_type

        return note


def has_effect(path: str) -> bool:
    return not any(f"winslow_dagster/{part}" in path for part in MACHINERY)


def reads_in(sources: list[BuildSource]) -> set[str]:
    options = Options()
    options.incremental = False
    options.follow_imports = "skip"
    options.ignore_missing_imports = True
    plugin = NotesReads(options)
    # Its errors are of no interest: without the types of other packages there are some. `make lint` type-checks.
    build.build(sources, options, extra_plugins=[plugin])
    return plugin.reads


@pytest.fixture(scope="module")
def reads() -> set[str]:
    paths = sorted(PACKAGE.rglob("*.py"))
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths}
    return reads_in([BuildSource(str(path), name.removesuffix(".__init__")) for path, name in names.items()])


def documents_in(annotation: Any) -> Iterator[type[Document]]:
    if isinstance(annotation, type) and issubclass(annotation, Document):
        yield annotation
    for part in get_args(annotation):
        yield from documents_in(part)


def with_nested(root: type[Document]) -> list[type[Document]]:
    found, waiting = [root], [root]
    while waiting:
        for field in waiting.pop().model_fields.values():
            new = [document for document in documents_in(field.annotation) if document not in found]
            found += new
            waiting += new
    return found


def qualified(model: type, name: str) -> str:
    """The attribute as mypy names it: by the class in which it is defined; empty where there is none."""
    owner = next((each for each in model.__mro__ if name in vars(each).get("__annotations__", {})), None)
    return f"{owner.__module__}.{owner.__qualname__}.{name}" if owner else ""


def selects_the_kind(document: type[Document], name: str) -> bool:
    annotation = document.model_fields[name].annotation
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def is_shown_to_a_person(document: type[Document], name: str) -> bool:
    """A form goes whole, as JSON, to the person who answers it; the program itself has no use for these fields."""
    return document.__module__.endswith("form_fields") and name in {"label", "help", "unit", "default"}


def is_drawn_by_the_page(document: type[Document], name: str) -> bool:
    """The template of a view reads the field."""
    return document.__module__.endswith("view_fields") and re.search(rf"\.{name}\b", DRAWN) is not None


def without_effect(root: type[Document], reads: set[str], loader: str) -> list[str]:
    """Fields of a file, `<document>.<field>`, that nothing reads: neither their value in the model nor, where the
    model has none, the field itself.
    """
    named_by_the_loader = {node.value for node in ast.walk(ast.parse(loader)) if isinstance(node, ast.Constant)}
    found = []
    for document in with_nested(root):
        for name in document.model_fields:
            attribute = qualified(document.model_of(name), document.target(name))
            is_read = attribute in reads if attribute else qualified(document, name) in reads
            is_read = is_read or is_shown_to_a_person(document, name) or is_drawn_by_the_page(document, name)
            if not is_read and not selects_the_kind(document, name):
                is_resolved = not attribute and document is PipelineDocument and name in named_by_the_loader
                found += [] if is_resolved else [f"{document.__name__}.{name}"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("root", [PipelineDocument, WatchFileDocument, NotifyDocument])
def test_every_field_has_an_effect(root: type[Document], reads: set[str]) -> None:
    assert without_effect(root, reads, LOADER.read_text()) == []


class InventedStage(Stage):
    invented: str = ""


class InventedDocument(StageDocument):
    model: ClassVar[type[Frozen]] = InventedStage
    invented: str | None = None


@pytest.mark.slow
def test_a_field_that_nothing_reads_is_found(reads: set[str]) -> None:
    assert "InventedDocument.invented" in without_effect(InventedDocument, reads, "")


def test_a_read_counts_for_the_class_that_was_read() -> None:
    text = """
class Stage:
    node_tags: str
    read: str = ""

class Task:
    node_tags: str

def run(stage: Stage, task: Task) -> list[str]:
    return [task.node_tags, *(one.read for one in [stage])]
"""
    reads = reads_in([BuildSource(None, "invented", text)])
    assert {name for name in reads if name.startswith("invented.")} == {
        "invented.Task.node_tags",
        "invented.Stage.read",
    }


@pytest.mark.slow
def test_a_field_that_the_loader_does_not_name_is_found(reads: set[str]) -> None:
    assert {"PipelineDocument.image", "PipelineDocument.defaults"} <= set(without_effect(PipelineDocument, reads, ""))
