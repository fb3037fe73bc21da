"""The fields of `checks`, with their descriptions. Their defaults are those of model/output_checks.py."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from winslow_dagster.pipelines.model import output_checks
from winslow_dagster.pipelines.model.output_checks import Severity, check_name
from winslow_dagster.pipelines.schema.base import Document
from winslow_dagster.pipelines.schema.field_types import FieldName, FileSize, Glob, JsonPointer, PlainValue
from winslow_dagster.pipelines.schema.value_parsers import ordered, refusal

Count = Annotated[int, Field(ge=0)]


class CheckBaseDocument(Document):
    """Attributes that all checks have."""

    name: FieldName | None = Field(
        default=None, description="Name of the check, unique in the stage; by default its kind and pattern."
    )
    severity: Severity | None = Field(default=None, description="Severity of a failed check.")
    blocking: bool | None = Field(
        default=None,
        description="Whether a failed check stops the project after the stage; by default unless `severity` is `warn`.",
    )

    def resolved(self) -> dict[str, Any]:
        """See Document. Fills in the default `name` and `blocking`."""
        values = super().resolved()
        subject = values.get("glob", values.get("key", ""))
        return {
            "name": check_name(values["kind"], subject),
            "blocking": values.get("severity") != "warn",
        } | values


class FileCheckDocument(CheckBaseDocument):
    """Checks that files exist or do not exist, and their sizes."""

    model = output_checks.FileCheck
    noun = "a file check"

    kind: Literal["file"] = Field(description="Checks files.")
    glob: Glob = Field(description="Pattern of the files, relative to the output directory.")
    exists: bool | None = Field(default=None, description="Whether at least one file must match, or none may.")
    min_size: FileSize | None = Field(default=None, description="Minimum size of each matching file.")
    max_size: FileSize | None = Field(default=None, description="Maximum size of each matching file.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return ordered(self, "min_size", "max_size")


class RangeDocument(Document):
    """Range of the numbers in a column."""

    model = output_checks.Range
    noun = "a range"

    min: float | None = Field(default=None, description="Minimum value.")
    max: float | None = Field(default=None, description="Maximum value.")
    allow_empty: bool | None = Field(default=None, description="Whether empty cells are allowed.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return ordered(self, "min", "max")


class CsvCheckDocument(CheckBaseDocument):
    """Checks a CSV file with a header line. Files of any size are read row by row."""

    model = output_checks.CsvCheck
    noun = "a csv check"

    kind: Literal["csv"] = Field(description="Checks a CSV file.")
    glob: Glob = Field(description="Pattern of the files, relative to the output directory; at least one must match.")
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = Field(
        default=None, description="Delimiter between cells."
    )
    columns: list[Annotated[str, Field(min_length=1)]] | None = Field(
        default=None, description="Columns that the file must have; further columns are allowed."
    )
    min_rows: Count | None = Field(default=None, description="Minimum number of rows, without the header.")
    max_rows: Count | None = Field(default=None, description="Maximum number of rows, without the header.")
    range: dict[str, RangeDocument] | None = Field(
        default=None, description="Columns that the file must have and that contain numbers, with the range of each."
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.delimiter in {'"', "\n", "\r"}:
            raise refusal("`delimiter` is a quotation mark or a line break", "another character")
        return ordered(self, "min_rows", "max_rows")


class JsonCheckDocument(CheckBaseDocument):
    """Checks one value in a JSON file."""

    model = output_checks.JsonCheck
    noun = "a json check"

    kind: Literal["json"] = Field(description="Checks a value in a JSON file.")
    glob: Glob = Field(description="Pattern of the files, relative to the output directory; at least one must match.")
    pointer: JsonPointer | None = Field(
        default=None,
        description="JSON pointer (RFC 6901) to the value, such as `/lanes/0/width_m`; by default the whole document.",
    )
    equals: PlainValue | None = Field(default=None, description="Value that is required.")
    min: float | None = Field(default=None, description="Minimum value.")
    max: float | None = Field(default=None, description="Maximum value.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return ordered(self, "min", "max")


class ResultCheckDocument(CheckBaseDocument):
    """Checks a result that the stage reports in its log: `WINSLOW_RESULT: key=value`."""

    model = output_checks.ResultCheck
    noun = "a result check"

    kind: Literal["result"] = Field(description="Checks a result.")
    key: Annotated[str, Field(min_length=1)] = Field(description="Name of the result.")
    min: float | None = Field(default=None, description="Minimum value.")
    max: float | None = Field(default=None, description="Maximum value.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return ordered(self, "min", "max")


CheckDocument = Annotated[
    FileCheckDocument | CsvCheckDocument | JsonCheckDocument | ResultCheckDocument, Field(discriminator="kind")
]
