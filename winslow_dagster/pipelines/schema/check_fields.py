"""What people write in `checks` of a stage. Defaults are those of output_checks.py."""

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
    """What every check has."""

    name: FieldName | None = Field(
        default=None, description="Names the check in the stage; without it, made of its kind and its file."
    )
    severity: Severity | None = Field(default=None, description="What it means where it is not passed.")
    blocking: bool | None = Field(
        default=None,
        description="Whether the project stops after the stage if this check fails; by default, unless it only warns.",
    )

    def resolved(self) -> dict[str, Any]:
        """With the name and with what `severity` means for `blocking`."""
        values = super().resolved()
        subject = values.get("glob", values.get("key", ""))
        return {
            "name": check_name(values["kind"], subject),
            "blocking": values.get("severity") != "warn",
        } | values


class FileCheckDocument(CheckBaseDocument):
    """Files that must be there, or must not, and how large each must be."""

    model = output_checks.FileCheck
    noun = "a file check"

    kind: Literal["file"] = Field(description="Is there such a file, and how large is it?")
    glob: Glob = Field(description="The files it is about, below the output directory.")
    exists: bool | None = Field(default=None, description="Whether at least one must be there, or none may be.")
    min_size: FileSize | None = Field(default=None, description="What each must have at least.")
    max_size: FileSize | None = Field(default=None, description="What each may have at most.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return ordered(self, "min_size", "max_size")


class RangeDocument(Document):
    """Between which numbers the cells of a column lie."""

    model = output_checks.Range
    noun = "a range"

    min: float | None = Field(default=None, description="The least a cell may be.")
    max: float | None = Field(default=None, description="The most a cell may be.")
    allow_empty: bool | None = Field(default=None, description="Whether cells may be empty.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return ordered(self, "min", "max")


class CsvCheckDocument(CheckBaseDocument):
    """A table with a header line. It is read row by row, however large it is."""

    model = output_checks.CsvCheck
    noun = "a csv check"

    kind: Literal["csv"] = Field(description="Is the table as it should be?")
    glob: Glob = Field(description="The tables it is about, below the output directory; there must be one.")
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = Field(
        default=None, description="What stands between the cells."
    )
    columns: list[Annotated[str, Field(min_length=1)]] | None = Field(
        default=None, description="Columns that must be there, all of them; there may be more."
    )
    min_rows: Count | None = Field(default=None, description="How many rows it has at least, without the header.")
    max_rows: Count | None = Field(default=None, description="How many rows it has at most.")
    range: dict[str, RangeDocument] | None = Field(
        default=None, description="Columns that must be there and hold numbers, and between which these lie."
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.delimiter in {'"', "\n", "\r"}:
            raise refusal("`delimiter` is a quotation mark or a line break", "another character")
        return ordered(self, "min_rows", "max_rows")


class JsonCheckDocument(CheckBaseDocument):
    """One value of a JSON file."""

    model = output_checks.JsonCheck
    noun = "a json check"

    kind: Literal["json"] = Field(description="Is the value as it should be?")
    glob: Glob = Field(description="The files it is about, below the output directory; there must be one.")
    pointer: JsonPointer | None = Field(
        default=None, description="Where the value is, as RFC 6901 has it: `/lanes/0/width_m`; without it, the whole."
    )
    equals: PlainValue | None = Field(default=None, description="What the value must be.")
    min: float | None = Field(default=None, description="The least it may be.")
    max: float | None = Field(default=None, description="The most it may be.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return ordered(self, "min", "max")


class ResultCheckDocument(CheckBaseDocument):
    """A number that the stage says in its log: `WINSLOW_RESULT: key=value`."""

    model = output_checks.ResultCheck
    noun = "a result check"

    kind: Literal["result"] = Field(description="Is the result as it should be?")
    key: Annotated[str, Field(min_length=1)] = Field(description="The name of the result.")
    min: float | None = Field(default=None, description="The least it may be.")
    max: float | None = Field(default=None, description="The most it may be.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return ordered(self, "min", "max")


CheckDocument = Annotated[
    FileCheckDocument | CsvCheckDocument | JsonCheckDocument | ResultCheckDocument, Field(discriminator="kind")
]
