"""What people write in a pipeline file: every field, with its description.

These models check a file, and are the one source of its JSON Schema and of the reference in docs/pipelines.md.
Defaults are those of the resolved model (pipeline.py): here, a field that is not given stays unset. A field becomes the
field of the same name there, or of that name with its unit: `timeout` -> `timeout_s`, `memory` -> `memory_bytes`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from winslow_dagster.pipelines.model import pipeline
from winslow_dagster.pipelines.model.form import MOST_FIELDS
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.pipelines.schema.base import Document
from winslow_dagster.pipelines.schema.check_fields import CheckDocument
from winslow_dagster.pipelines.schema.field_types import (
    DeviceMemory,
    FileSize,
    Glob,
    Image,
    Memory,
    Name,
    NodeTag,
    Pattern,
    ProgressPattern,
    RetryWhen,
    Suffix,
    TemplateText,
    Timeout,
    VariableName,
    Wait,
    Words,
    Written,
)
from winslow_dagster.pipelines.schema.form_fields import FieldDocument
from winslow_dagster.pipelines.schema.value_parsers import HIGHEST_EXIT_CODE, one_or_list, short_for

BARE_COUNT = Written(short_for("count", int), {}, ({"type": "integer", "minimum": 0},))
BARE_GLOB = Written(short_for("glob", str), {}, ({"title": "glob", "type": "string"},))
ONE_NAME = Written(one_or_list, {}, ({"title": "stage name", "type": "string"},))
ExitCode = Annotated[int, Field(ge=0, le=HIGHEST_EXIT_CODE)]


class InputDocument(Document):
    """A file or directory that a project brings."""

    model = pipeline.ProjectInput
    noun = "an input"

    kind: Literal["video", "image", "table", "json", "model", "file", "directory"] | None = Field(
        default=None, description="What it is: decides how it is checked, picked and previewed."
    )
    suffixes: list[Suffix] | None = Field(
        default=None, description="Ends of file names that are accepted; without it, all."
    )
    required: bool | None = Field(default=None, description="Whether a project cannot start without it.")
    description: str | None = Field(default=None, description="What to bring, for the person who creates a project.")


class GpuDocument(Document):
    """The GPUs a stage is given."""

    model = pipeline.Gpu
    noun = "`gpu`"

    count: int | None = Field(default=None, ge=0, description="How many; 0 is none, whatever `defaults` says.")
    vendor: Literal["nvidia", "amd", "intel"] | None = Field(default=None, description="Only GPUs of this vendor.")
    memory: DeviceMemory | None = Field(default=None, description="What each GPU must have at least.")
    optional: bool | None = Field(default=None, description="Run on the CPU where the machine has no such GPU.")


class ProgressDocument(Document):
    """How far the stage is, read from its log. Several subjects may be followed side by side."""

    model = pipeline.ProgressRule
    noun = "a progress rule"

    subject: str = Field(min_length=1, description="What is counted, such as `frames`.")
    pattern: ProgressPattern = Field(
        description="Searched in each log line. Its group `current`, with `total` and `unit` where known, or its group "
        "`percent`, says how far it is: `frame (?P<current>\\d+)/(?P<total>\\d+)`."
    )


class RetriesDocument(Document):
    """How often, and after which ends, a stage is tried again."""

    model = pipeline.Retries
    noun = "`retries`"

    count: int | None = Field(default=None, ge=0, description="How many further attempts there may be.")
    when: list[RetryWhen] | None = Field(
        default=None,
        description="Ends after which it is tried again: `lost` (its machine or runner was), `failed` (an exit code "
        "that is not a success), `out_of_memory`, `timed_out`, or certain exit codes.",
    )
    wait: Wait | None = Field(default=None, description="Before the first further attempt.")
    backoff: float | None = Field(default=None, ge=1, description="By what each further wait is longer than the last.")


class OutputDocument(Document):
    """Files that must be there when the stage ends; without them it has failed."""

    model = pipeline.PromisedOutput
    noun = "an output"

    glob: Glob = Field(description="At least one file must match, below the output directory.")
    min_size: FileSize | None = Field(default=None, description="What each match must have at least.")


class HighlightDocument(Document):
    """An output worth showing."""

    model = pipeline.Highlight
    noun = "a highlight"

    glob: Glob = Field(description="The files to show, below the output directory.")
    title: str | None = Field(default=None, description="Stands above the preview.")


class RetentionDocument(Document):
    """What is kept, and for how long. What no rule covers is kept; of several rules, the first that covers decides."""

    model = pipeline.RetentionRule
    noun = "a retention rule"

    what: Literal["outputs", "failed", "logs"] | None = Field(
        default=None,
        description="Outputs; the log and the leftovers of attempts that did not succeed; or the logs of those that "
        "did.",
    )
    glob: Glob | None = Field(default=None, description="The files the rule is about, below the output directory.")
    attempts: int | None = Field(default=None, ge=1, description="Of how many latest attempts it is kept.")
    days: float | None = Field(
        default=None, ge=0, description="For how many days it is kept; with `attempts`, what either keeps stays."
    )


class NeedsInputDocument(Document):
    """A person is asked before the stage runs; the project waits without holding anything."""

    model = pipeline.NeedsInput
    noun = "`needs_input`"

    when: Literal["always", "once", "unset", "asked"] | None = Field(
        default=None,
        description="Ask before every attempt, once in a project, only if one of `variables` has no value, or only "
        "when the stage itself ended by asking (`asked`).",
    )
    message: str | None = Field(default=None, description="What the person is asked to do.")
    variables: list[VariableName] | None = Field(
        default=None, description="The variables that `unset` looks at; without it, those that the form sets."
    )
    form: Annotated[list[FieldDocument], Field(max_length=MOST_FIELDS)] | None = Field(
        default=None, description="The fields of the form that is shown."
    )


class StageFields(Document):
    """What may be said of a stage, and in `defaults` of every stage."""

    model = pipeline.Stage

    description: str | None = Field(default=None, description="What the stage does; Markdown.")
    image: Image | None = Field(default=None, description="The container image it runs in.")
    args: Words | None = Field(default=None, description="Arguments of the image's entry point, or after `command`.")
    command: Words | None = Field(
        default=None, description="The program that is run where there is no Docker, before `args` (process mode)."
    )
    env: dict[VariableName, TemplateText] | None = Field(
        default=None, description="Environment variables. They are added to those of the pipeline and cover them."
    )
    cpus: float | None = Field(default=None, gt=0, le=4096, description="CPU cores it may use.")
    memory: Memory | None = Field(default=None, description="Memory it may use; it is ended when it needs more.")
    shm_size: DeviceMemory | None = Field(default=None, description="Size of /dev/shm; PyTorch data loaders need it.")
    gpu: Annotated[GpuDocument, BARE_COUNT] | None = Field(
        default=None, description="The GPUs it is given: how many, or which."
    )
    node_tags: list[NodeTag] | None = Field(default=None, description="Tags that its machine must have, all of them.")
    network: bool | None = Field(default=None, description="Whether it can reach the network.")
    timeout: Timeout | None = Field(default=None, description="It is ended when it runs longer.")
    stop_grace_period: Wait | None = Field(default=None, description="Time between TERM and KILL when it is stopped.")
    retries: RetriesDocument | None = Field(default=None, description="Whether it is tried again.")
    progress: list[ProgressDocument] | None = Field(default=None, description="What says in its log how far it is.")
    warnings: list[Pattern] | None = Field(
        default=None, description="Log lines that one of these is found in are warnings."
    )
    errors: list[Pattern] | None = Field(
        default=None, description="Log lines that one of these is found in are errors."
    )
    fail_on_error_line: bool | None = Field(default=None, description="Whether an error line makes it fail.")
    success_exit_codes: Annotated[list[ExitCode], Field(min_length=1)] | None = Field(
        default=None, description="Exit codes that mean success."
    )
    awaiting_input_exit_code: Annotated[int, Field(ge=1, le=HIGHEST_EXIT_CODE)] | None = Field(
        default=None, description="The exit code with which it says that it needs a person."
    )
    needs_input: NeedsInputDocument | None = Field(default=None, description="Whether a person is asked first.")
    outputs: list[Annotated[OutputDocument, BARE_GLOB]] | None = Field(
        default=None, description="Files that it must have written at its end."
    )
    checks: list[CheckDocument] | None = Field(
        default=None, description="What is looked at in its outputs once it has succeeded."
    )
    highlights: list[Annotated[HighlightDocument, BARE_GLOB]] | None = Field(
        default=None, description="Outputs that are shown."
    )
    retention: list[RetentionDocument] | None = Field(default=None, description="Which outputs may be deleted when.")

    @classmethod
    def model_of(cls, name: str) -> type[Frozen]:
        """See Document. The rules for the log are one value of their own."""
        return pipeline.LogRules if name in pipeline.LogRules.model_fields else cls.model


class DefaultsDocument(StageFields):
    """What every stage has unless it says otherwise."""

    noun = "`defaults`"


class StageDocument(StageFields):
    """One step of the pipeline."""

    noun = "a stage"

    name: Name = Field(description="Names it in this file, in the UI and in addresses.")
    after: Annotated[list[Annotated[str, Field(title="stage name")]], ONE_NAME] | None = Field(
        default=None,
        description="The stages whose outputs it works on. Without it: the stage above. `[]`: none, it is a root.",
    )


class PipelineDocument(Document):
    """A pipeline file."""

    model = pipeline.Pipeline
    noun = "a pipeline"

    name: Name = Field(description="The name of the file, without `.yaml`.")
    description: str | None = Field(default=None, description="What the pipeline is for; Markdown.")
    image: Image | None = Field(default=None, description="The container image of the stages that name none.")
    command: Words | None = Field(default=None, description="The process-mode program of the stages that name none.")
    env: dict[VariableName, TemplateText] | None = Field(
        default=None, description="Environment variables of all stages. A stage, a project and a run may cover them."
    )
    inputs: dict[Name, InputDocument] | None = Field(default=None, description="What a project brings, by name.")
    defaults: DefaultsDocument | None = Field(default=None, description="What stages have unless they say otherwise.")
    stages: Annotated[list[StageDocument], Field(min_length=1)] = Field(description="The steps, in order.")
