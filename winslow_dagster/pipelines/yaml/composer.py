"""Composes YAML text into a tree of nodes with their positions.

PyYAML's own composer is not used because it recurses in C: some thousand nested lists crash the process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from winslow_dagster.errors import PipelineInvalid
from winslow_dagster.pipelines.problems import Problem, named

LARGEST_FILE_BYTES = 1 << 20
DEEPEST = 32


@dataclass(frozen=True, slots=True)
class Mark:
    """A position in a file, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value as written. `plain`: without quotes and tag, so it may be a number, a boolean or empty."""

    mark: Mark
    tag: str | None
    text: str
    plain: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    mark: Mark
    tag: str | None
    items: list[Node]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values in file order. Keys may repeat, and may be any node."""

    mark: Mark
    tag: str | None
    pairs: list[tuple[Node, Node]]


Node = Scalar | Sequence | Mapping


def unusable(file: str, mark: Mark, what: str, expected: str = "", suggestion: str = "") -> PipelineInvalid:
    """The error for a file whose first problem prevents further reading."""
    problem = Problem(file, mark.line, mark.column, what, expected, suggestion)
    return PipelineInvalid(str(problem), problems=(problem,))


def compose(content: bytes, file: str) -> Node:
    """The root node of the only document in `content`. An alias becomes the node that it refers to.

    Raises PipelineInvalid with the problem that prevents reading.
    """
    if len(content) > LARGEST_FILE_BYTES:
        raise unusable(
            file, Mark(1, 1), f"the file is too large: {len(content)} bytes", f"at most {LARGEST_FILE_BYTES}"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"byte 0x{content[error.start]:02x} is not UTF-8"
        raise unusable(file, _mark_of_byte(content, error.start), what, "a text file in UTF-8") from error
    try:
        return _Composer(file, text).document()
    except yaml.reader.ReaderError as error:
        mark = _mark_of_byte(text.encode(), int(error.position or 0))
        raise unusable(file, mark, f"not valid YAML: {error.reason}", "printable text") from error
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(file, text, error) from error


class _Composer:
    """Turns parser events into nodes."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.events: Iterator[Any] = yaml.parse(text, Loader=yaml.CSafeLoader)
        self.anchors: dict[str, Node] = {}

    def refuse(self, event: Any, what: str, expected: str) -> NoReturn:
        raise unusable(self.file, _mark(event.start_mark), what, expected)

    def document(self) -> Node:
        root: Node | None = None
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    self.refuse(event, "a second document starts here", "one document per file")
                root = self.node(next(self.events), 0)
        if root is None or (isinstance(root, Scalar) and root.plain and not root.text):
            raise unusable(self.file, Mark(1, 1), "the file is empty", "a mapping with `name` and `stages`")
        return root

    def node(self, event: Any, depth: int) -> Node:
        """The node that starts with `event`, `depth` levels down."""
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                self.refuse(
                    event,
                    f"unknown alias {named(f'*{event.anchor}')}",
                    f"a value above it marked {named(f'&{event.anchor}')}",
                )
            return self.anchors[event.anchor]
        if depth > DEEPEST:
            self.refuse(event, f"nested more than {DEEPEST} levels deep", "fewer levels")
        mark = _mark(event.start_mark)
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = Scalar(mark, event.tag, event.value, plain=event.tag is None and event.implicit[0])
        elif isinstance(event, yaml.SequenceStartEvent):
            items = [self.node(item, depth + 1) for item in self.until(yaml.SequenceEndEvent)]
            node = Sequence(mark, event.tag, items)
        else:
            keys = self.until(yaml.MappingEndEvent)
            pairs = [(self.node(key, depth + 1), self.node(next(self.events), depth + 1)) for key in keys]
            node = Mapping(mark, event.tag, pairs)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def until(self, end: type[Any]) -> Iterator[Any]:
        """The events before the end of a collection, read lazily."""
        while not isinstance(event := next(self.events), end):
            yield event


def _mark(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)


def _mark_of_byte(content: bytes, position: int) -> Mark:
    before = content[:position]
    line_start = before.rfind(b"\n") + 1
    return Mark(before.count(b"\n") + 1, len(before[line_start:].decode("utf-8-sig", errors="replace")) + 1)


def _syntax_error(file: str, text: str, error: yaml.MarkedYAMLError) -> PipelineInvalid:
    """The parser's error, with its usual cause."""
    mark = _mark(error.problem_mark or error.context_mark)
    what = f"not valid YAML: {error.problem}" + (f" {error.context}" if error.context else "")
    lines = text.split("\n")
    line = lines[mark.line - 1] if mark.line <= len(lines) else ""
    expected = ""
    if line[mark.column - 1 : mark.column] == "\t" or line.lstrip(" ").startswith("\t"):
        expected = "spaces: YAML does not allow tabs here"
    elif "mapping values are not allowed" in str(error.problem):
        expected = "one `key: value` per line, and quotes around a string that contains `: `"
    elif "block mapping" in str(error.context):
        expected = "keys of one mapping in the same column"
    return unusable(file, mark, what, expected)
