"""Types of the values in a YAML file: how each is parsed, and how the JSON Schema describes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, get_args

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from winslow_dagster.pipelines.model.form import INPUT, OptionValue
from winslow_dagster.pipelines.model.output_checks import Plain
from winslow_dagster.pipelines.model.pipeline import RetryCause
from winslow_dagster.pipelines.schema.value_parsers import (
    HIGHEST_EXIT_CODE,
    IMAGE_OWNER,
    LONGEST_NAME,
    NAME,
    duration_reader,
    read_field_name,
    read_glob,
    read_image,
    read_image_reference,
    read_name,
    read_node_tag,
    read_option,
    read_pattern,
    read_plain,
    read_pointer,
    read_progress_pattern,
    read_retry_cause,
    read_stage_file,
    read_suffix,
    read_template,
    read_variable,
    read_variable_name,
    read_video_reference,
    read_words,
    size_reader,
)
from winslow_dagster.pipelines.substitution import VARIABLE_NAME
from winslow_dagster.pipelines.units import DURATION_PATTERN, SIZE_PATTERN

SMALLEST_MEMORY_BYTES = 6 * 1024**2  # Docker refuses less
SMALLEST_DEVICE_MEMORY_BYTES = 1024**2

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """An annotation: `read` parses the value in the file, and `schema` describes what the file may contain.

    `alternatives` describe other notations, besides that of the annotated type.
    """

    read: Callable[[Any], Any]
    schema: Schema = field(default_factory=dict)
    alternatives: tuple[Schema, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        described = self.schema or handler(schema)
        return {"anyOf": [*self.alternatives, described]} if self.alternatives else dict(described)

    def __hash__(self) -> int:
        return id(self)


_SECONDS_SCHEMA: Schema = {"title": "duration", "type": ["string", "number"], "pattern": DURATION_PATTERN, "minimum": 0}
_BYTES_SCHEMA: Schema = {"title": "size", "type": ["string", "integer"], "pattern": SIZE_PATTERN, "minimum": 0}
_REGEX_SCHEMA: Schema = {"title": "regular expression (RE2)", "type": "string"}
# Numbers and booleans in env, args and command are kept as they are written.
_TEMPLATE_SCHEMA: Schema = {"title": "string with variables", "type": ["string", "number", "boolean"]}

Name = Annotated[
    str,
    Written(read_name, {"title": "name", "type": "string", "pattern": rf"^{NAME.pattern}$", "maxLength": LONGEST_NAME}),
]
FieldName = Annotated[
    str,
    Written(
        read_field_name,
        {"title": "field name", "type": "string", "pattern": rf"^{NAME.pattern}$", "maxLength": LONGEST_NAME},
    ),
]
ImageReference = Annotated[
    str,
    Written(
        read_image_reference,
        {"title": "stage output", "type": "string", "pattern": rf"^({IMAGE_OWNER.pattern})/[^/]"},
    ),
]
StageFile = Annotated[
    str,
    Written(read_stage_file, {"title": "file of a stage", "type": "string", "pattern": rf"^{NAME.pattern}/[^/]"}),
]
VideoReference = Annotated[
    str,
    Written(
        read_video_reference,
        {
            "title": "stage output or input",
            "type": "string",
            "pattern": rf"^(({IMAGE_OWNER.pattern})/[^/]|{INPUT}{NAME.pattern}$)",
        },
    ),
]
OptionText = Annotated[
    OptionValue, Written(read_option, {"title": "string or number", "type": ["string", "number"], "minLength": 1})
]
JsonPointer = Annotated[
    str, Written(read_pointer, {"title": "JSON pointer", "type": "string", "pattern": r"^(/([^~/]|~[01])*)*$"})
]
PlainValue = Annotated[
    Plain, Written(read_plain, {"title": "string, number or boolean", "type": ["string", "number", "boolean"]})
]
VariableName = Annotated[
    str,
    Written(read_variable_name, {"title": "variable name", "type": "string", "pattern": rf"^{VARIABLE_NAME.pattern}$"}),
]
TemplateText = Annotated[str, Written(read_template, _TEMPLATE_SCHEMA)]
_SECRET_SCHEMA: Schema = {
    "title": "`{secret: …}`",
    "type": "object",
    "properties": {
        "secret": {
            "description": "true, or the name of a stored secret other than that of the variable.",
            "type": ["boolean", "string"],
        },
        "in_env": {
            "description": "Whether the variable is set, too, beside the file.",
            "type": "boolean",
        },
    },
    "required": ["secret"],
    "additionalProperties": False,
}
Environment = dict[
    VariableName, Annotated[str | dict[str, str | bool], Written(read_variable, _TEMPLATE_SCHEMA, (_SECRET_SCHEMA,))]
]
Words = Annotated[
    list[TemplateText],
    Written(
        read_words,
        {"title": "list of strings", "type": "array", "items": _TEMPLATE_SCHEMA},
        ({"title": "string (split like in a shell)", "type": "string"},),
    ),
]
Image = Annotated[str, Written(read_image, {"title": "image name", "type": "string", "minLength": 1})]
Timeout = Annotated[float, Written(duration_reader(above_zero=True), _SECONDS_SCHEMA)]
Wait = Annotated[float, Written(duration_reader(above_zero=False), _SECONDS_SCHEMA)]
Memory = Annotated[int, Written(size_reader(SMALLEST_MEMORY_BYTES), _BYTES_SCHEMA)]
DeviceMemory = Annotated[int, Written(size_reader(SMALLEST_DEVICE_MEMORY_BYTES), _BYTES_SCHEMA)]
FileSize = Annotated[int, Written(size_reader(0), _BYTES_SCHEMA)]
Pattern = Annotated[str, Written(read_pattern, _REGEX_SCHEMA)]
ProgressPattern = Annotated[str, Written(read_progress_pattern, _REGEX_SCHEMA)]
Glob = Annotated[str, Written(read_glob, {"title": "glob", "type": "string", "minLength": 1})]
Suffix = Annotated[
    str, Written(read_suffix, {"title": "suffix", "type": "string", "pattern": r"^(\.[A-Za-z0-9_-]+)+$"})
]
NodeTag = Annotated[
    str, Written(read_node_tag, {"title": "node tag", "type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"})
]
RetryWhen = Annotated[
    RetryCause | int,
    Written(
        read_retry_cause,
        {"type": "string", "enum": list(get_args(RetryCause))},
        ({"title": "exit code", "type": "integer", "minimum": 1, "maximum": HIGHEST_EXIT_CODE},),
    ),
]
