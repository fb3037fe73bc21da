"""Reads YAML into plain data, and keeps the position of each value.

Scalars follow YAML 1.2's core schema, as in editors: `on`, `yes` and `1:30` are strings, not booleans and numbers.
YAML 1.1's merge key `<<` is rejected in favour of `defaults`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from winslow_dagster.pipelines.problems import CONTROL, Problem, named, shown
from winslow_dagster.pipelines.yaml.composer import Mapping, Mark, Node, Scalar, Sequence, compose, unusable

Path = tuple[str | int, ...]

MOST_VALUES = 100_000
LONGEST_NUMBER = 100
# Scalars in these fields are kept as they are written: 1.10 stays 1.10.
TEXT_FIELDS = frozenset({"env", "args", "command"})

_TAG = "tag:yaml.org,2002:"
_KNOWN_TAGS = frozenset({None, "!", f"{_TAG}str", f"{_TAG}seq", f"{_TAG}map"})
_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE, _FALSE = re.compile(r"true|True|TRUE"), re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_BASED_INT = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(slots=True)
class Tree:
    """The data of one file, the positions of its keys and values, and its problems."""

    file: str
    data: Any = None
    values: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def mark(self, path: Path) -> Mark:
        """The position of the value at `path`, or of the nearest enclosing value."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values[path]

    def key_mark(self, path: Path) -> Mark:
        """The position of the key at the end of `path`, or else of its value."""
        return self.keys.get(path) or self.mark(path)

    def note(self, mark: Mark, what: str, expected: str = "", suggestion: str = "") -> None:
        """Add one problem."""
        self.problems.append(Problem(self.file, mark.line, mark.column, what, expected, suggestion))


def read_tree(content: bytes, file: str) -> Tree:
    """The plain data of a YAML file; `problems` has those that do not prevent reading.

    Raises PipelineInvalid with a problem that does.
    """
    builder = _Builder(Tree(file))
    builder.tree.data = builder.value(compose(content, file), ())
    return builder.tree


@dataclass(slots=True)
class _Builder:
    """Turns nodes into plain data, and notes positions and problems in `tree`."""

    tree: Tree
    count: int = 0

    def value(self, node: Node, path: Path) -> Any:
        self.count += 1
        if self.count > MOST_VALUES:
            what = f"more than {MOST_VALUES} values after its aliases are expanded"
            raise unusable(self.tree.file, node.mark, what, "fewer aliases")
        self.tree.values[path] = node.mark
        if node.tag not in _KNOWN_TAGS:
            tag = str(node.tag).replace(_TAG, "!!")
            self.tree.note(node.mark, f"the tag {named(tag)} is not supported", "a plain value")
            return None
        match node:
            case Sequence():
                return [self.value(item, (*path, index)) for index, item in enumerate(node.items)]
            case Mapping():
                return self.mapping(node, path)
            case Scalar():
                return self.scalar(node, path)

    def mapping(self, node: Mapping, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.pairs:
            if not isinstance(key_node, Scalar):
                self.tree.note(key_node.mark, "a key is a list or a mapping", "a string as key")
                continue
            key = key_node.text
            if CONTROL.search(key):
                self.tree.note(key_node.mark, f"the key {named(key)} has a control character", "printable characters")
                continue
            if key in data:
                line = self.tree.keys[*path, key].line
                self.tree.note(key_node.mark, f"{named(key)} is set twice, also on line {line}", "each key once")
                continue
            if key == "<<" and key_node.plain:
                self.tree.note(
                    key_node.mark, "merge keys (`<<`) are not supported", "`defaults` for fields that stages share"
                )
                continue
            self.tree.keys[*path, key] = key_node.mark
            data[key] = self.value(value_node, (*path, key))
        return data

    def scalar(self, node: Scalar, path: Path) -> Any:
        as_written = not TEXT_FIELDS.isdisjoint(path)
        # A program may be passed what a terminal understands; substitution.py rejects what cannot be passed.
        if CONTROL.search(node.text) and not as_written:
            expected = "printable characters, tabs and line breaks"
            self.tree.note(node.mark, f"{shown(node.text)} has a control character", expected)
        if not node.plain:
            return node.text
        if _NULL.fullmatch(node.text):
            label = named(path[-1]) if path and isinstance(path[-1], str) else "an item of the list"
            self.tree.note(self.tree.key_mark(path), f"{label} is empty", 'a value, or "" for an empty string')
            return None
        if as_written:
            return node.text
        value = _plain_value(node.text)
        if value is None:
            self.tree.note(node.mark, f"the number {shown(node.text)} is too long", f"at most {LONGEST_NUMBER} digits")
        return value


def _plain_value(text: str) -> bool | float | str | None:
    """The value of a plain scalar in YAML 1.2's core schema; None for a number that is too long."""
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    readers = ((_INT, int), (_BASED_INT, lambda digits: int(digits, 0)), (_FLOAT, float))
    for pattern, read in readers:
        if pattern.fullmatch(text):
            return read(text) if len(text) <= LONGEST_NUMBER else None
    if found := _NOT_FINITE.fullmatch(text):
        return float(f"{found[1] or ''}{found[2] or 'nan'}".lower())
    return text
