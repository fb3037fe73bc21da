"""The JSON Schema of pipeline files, for completion and validation in editors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.pipelines.schema.base import Document
from winslow_dagster.pipelines.schema.pipeline_fields import PipelineDocument

DIALECT = "http://json-schema.org/draft-07/schema#"
_PREFIX = "#/definitions/"


class _Generator(GenerateJsonSchema):
    """Omits null, because empty values are errors, and titles that only repeat a field's name."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 # required signature
        return False


def json_schema() -> dict[str, Any]:
    """The schema, in draft 7, which YAML language servers support.

    `winslow pipelines check` also finds what a schema cannot express: duplicate stages, invalid regular expressions,
    unclosed `${…}`.
    """
    schema = PipelineDocument.model_json_schema(schema_generator=_Generator, ref_template=f"{_PREFIX}{{model}}")
    definitions: dict[str, Any] = schema.pop("$defs")
    known = {document.__name__: document for document in _below(Document)}
    for name, definition in definitions.items():
        _add_defaults(definition, known[name])
    definitions = {_short(name): definition | {"title": _short(name)} for name, definition in definitions.items()}
    # `name` and `after` come before the fields that stages share with `defaults`.
    stage = definitions["Stage"]
    stage["properties"] = {name: stage["properties"][name] for name in ("name", "after")} | stage["properties"]
    tidy = _tidy(schema | {"title": "Pipeline", "definitions": definitions})
    return {"$schema": DIALECT, **tidy}


def schema_text() -> str:
    """The schema as JSON text."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def default_of(document: type[Document], name: str) -> Any:
    """The default value of a field, as a file would have it; None if there is none."""
    field = document.model_of(name).model_fields.get(document.target(name))
    default = None if field is None or field.is_required() else field.get_default(call_default_factory=True)
    if isinstance(default, Frozen) or default in (None, "", (), {}):
        return None
    if isinstance(default, float) and default.is_integer():
        return int(default)
    return list(default) if isinstance(default, tuple) else default


def _below(document: type[Document]) -> Iterator[type[Document]]:
    """All subclasses."""
    for kind in document.__subclasses__():
        yield kind
        yield from _below(kind)


def _add_defaults(definition: dict[str, Any], document: type[Document]) -> None:
    for name, described in definition["properties"].items():
        default = default_of(document, name)
        if default is not None:
            described["default"] = default


def _short(name: str) -> str:
    return name.removesuffix("Document")


def _tidy(value: Any) -> Any:
    """The schema with short names and closed mappings, and with descriptions moved away from `$ref`."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    tidy = {key: _tidy(item) for key, item in value.items()}
    if isinstance(reference := tidy.pop("$ref", None), str):
        target = {"$ref": _PREFIX + _short(reference.removeprefix(_PREFIX))}
        # Draft 7 ignores siblings of a $ref.
        return {"allOf": [target], **tidy} if tidy else target
    tidy.pop("discriminator", None)  # OpenAPI only; `kind` is a constant of each document
    if "patternProperties" in tidy:
        tidy["additionalProperties"] = False
    return tidy
