"""The field reference in docs/pipelines.md, generated from the models that validate pipeline files.

`python -m winslow_dagster.pipelines.schema.reference_page DOCUMENT SCHEMA` updates both files.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from winslow_dagster.pipelines.schema.json_schema import json_schema, schema_text

BEGIN = "<!-- fields: begin (written by `python -m winslow_dagster.pipelines.schema.reference_page`) -->"
END = "<!-- fields: end -->"
ORDER = (
    *("Stage", "Gpu", "Retries", "Progress", "Output", "Highlight", "TrajectoryView", "Retention"),
    *("FileCheck", "CsvCheck", "Range", "JsonCheck", "ResultCheck", "NeedsInput", "TextField", "NumberField"),
    *("ChoiceField", "Option", "BooleanField", "FileField", "PointsField", "PolygonField", "LinesField"),
    *("ConfirmField", "Input"),
)
TYPES = {
    "string": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
    "object": "mapping",
}


def field_reference() -> str:
    """Markdown: one table for each kind of mapping in a pipeline file."""
    schema = json_schema()
    definitions = schema["definitions"]
    sections = [_section("Pipeline", schema), *(_section(name, definitions[name]) for name in ORDER)]
    return "\n".join(sections)


def with_reference(document: str) -> str:
    """The document with the reference between its two markers. Raises ValueError if they are missing."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n{field_reference()}\n{END}{after}"


def _section(title: str, definition: dict[str, Any]) -> str:
    lines = [f"### {title}", "", definition["description"], ""]
    lines += ["| field | value | default | meaning |", "|---|---|---|---|"]
    for name, described in definition["properties"].items():
        needed = name in definition.get("required", ())
        default = "**required**" if needed else _literal(described["default"]) if "default" in described else ""
        lines.append(
            f"| `{name}` | {_type(described)} | {default} | {described['description'].replace('|', chr(92) + '|')} |"
        )
    return "\n".join(lines) + "\n"


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _type(described: dict[str, Any]) -> str:
    """What the field may contain."""
    if "allOf" in described:
        return _type(described["allOf"][0])
    if "$ref" in described:
        target = described["$ref"].rpartition("/")[2]
        return "as in [Stage](#stage)" if target == "Defaults" else f"[{target}](#{target.lower()})"
    if choices := described.get("anyOf") or described.get("oneOf"):
        return " or ".join(map(_type, choices))
    return _plain_type(described)


def _plain_type(described: dict[str, Any]) -> str:
    if choices := described.get("enum", [described["const"]] if "const" in described else []):
        return ", ".join(f"`{choice}`" for choice in choices)
    if "title" in described:
        return str(described["title"])
    inner = described.get("additionalProperties") or next(iter(described.get("patternProperties", {}).values()), None)
    if isinstance(inner, dict):
        return f"mapping of names to {_type(inner)}"
    if described["type"] == "array":
        return f"list: {_type(described['items'])}"
    # Numbers and booleans in env are taken as strings.
    return "string" if isinstance(described["type"], list) else TYPES[described["type"]]


def main(document: Path, schema: Path) -> None:
    """Update both files."""
    document.write_text(with_reference(document.read_text(encoding="utf-8")), encoding="utf-8")
    schema.write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
