"""The comments of a pipeline file that describe its variables: beside a variable, or else on the lines above it."""

from __future__ import annotations

import re

from winslow_dagster.errors import PipelineInvalid
from winslow_dagster.pipelines.problems import printable
from winslow_dagster.pipelines.yaml.reader import Path, Tree, read_tree

BESIDE = re.compile(
    r"""^\s*[^\s#]+\s*:\s*(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s"'#][^#]*?|)\s+\#\s*(?P<comment>.+)$"""
)
ABOVE = re.compile(r"^\s*#\s?(?P<comment>.*)$")


def variable_comments(content: bytes) -> dict[tuple[str, str], str]:
    """(stage, variable) -> its comment; the stage is empty for variables of all stages.

    A file that cannot be read has none.
    """
    try:
        tree = read_tree(content, "")
    except PipelineInvalid:
        return {}
    lines = content.decode("utf-8", "replace").splitlines()
    found = {}
    for path, stage in _variables(tree):
        comment = _comment(lines, tree.key_mark(path).line)
        if comment:
            found[stage, str(path[-1])] = printable(comment)
    return found


def _variables(tree: Tree) -> list[tuple[Path, str]]:
    """The paths of all variables, with the names of their stages."""
    data = tree.data if isinstance(tree.data, dict) else {}
    found: list[tuple[Path, str]] = []
    env, stages = data.get("env"), data.get("stages")
    if isinstance(env, dict):
        found += [(("env", name), "") for name in env]
    for place, stage in enumerate(stages if isinstance(stages, list) else []):
        if isinstance(stage, dict) and isinstance(stage.get("env"), dict):
            found += [(("stages", place, "env", name), str(stage.get("name", ""))) for name in stage["env"]]
    return found


def _comment(lines: list[str], line: int) -> str:
    if line > len(lines):
        return ""
    if match := BESIDE.match(lines[line - 1]):
        return match["comment"].strip()
    above: list[str] = []
    for text in reversed(lines[: line - 1]):
        match = ABOVE.match(text)
        if match is None:
            break
        above.insert(0, match["comment"].strip())
    return " ".join(above).strip()
