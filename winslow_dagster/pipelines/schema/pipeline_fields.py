"""The fields of a pipeline file, with their descriptions.

These models validate a file, and the JSON Schema and the reference in docs/pipelines.md are generated from them. Fields
that a file does not set stay unset here: the defaults are those of the resolved model (model/pipeline.py). A field has
the same name there, or that name with a unit: `timeout` -> `timeout_s`, `memory` -> `memory_bytes`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from winslow_dagster.pipelines.model import pipeline, stage_rules
from winslow_dagster.pipelines.model.form import MOST_FIELDS
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.pipelines.schema.base import Document
from winslow_dagster.pipelines.schema.check_fields import CheckDocument
from winslow_dagster.pipelines.schema.field_types import (
    DeviceMemory,
    Environment,
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
    Timeout,
    VariableName,
    Wait,
    Words,
    Written,
)
from winslow_dagster.pipelines.schema.form_fields import FieldDocument
from winslow_dagster.pipelines.schema.value_parsers import HIGHEST_EXIT_CODE, one_or_list, short_for
from winslow_dagster.pipelines.schema.view_fields import TrajectoryViewDocument

BARE_COUNT = Written(short_for("count", int), {}, ({"type": "integer", "minimum": 0},))
BARE_GLOB = Written(short_for("glob", str), {}, ({"title": "glob", "type": "string"},))
ONE_NAME = Written(one_or_list, {}, ({"title": "stage name", "type": "string"},))
ExitCode = Annotated[int, Field(ge=0, le=HIGHEST_EXIT_CODE)]


class InputDocument(Document):
    """A file or directory that a project provides."""

    model = pipeline.ProjectInput
    noun = "an input"

    kind: Literal["video", "image", "table", "json", "model", "file", "directory"] | None = Field(
        default=None, description="Kind of content; decides how the input is validated and previewed."
    )
    suffixes: list[Suffix] | None = Field(default=None, description="Accepted file name suffixes; by default any.")
    parts: bool | None = Field(
        default=None,
        description="Whether a directory is accepted, too. Its files with these suffixes are then the parts of one, "
        "such as those of a drone's recording.",
    )
    required: bool | None = Field(default=None, description="Whether a project needs this input to start.")
    description: str | None = Field(
        default=None, description="What to provide, shown to the person who creates a project."
    )


class GpuDocument(Document):
    """GPUs that a stage needs."""

    model = stage_rules.Gpu
    noun = "`gpu`"

    count: int | None = Field(default=None, ge=0, description="Number of GPUs; 0 means none, regardless of `defaults`.")
    vendor: Literal["nvidia", "amd", "intel"] | None = Field(
        default=None, description="Vendor of the GPUs; by default any."
    )
    memory: DeviceMemory | None = Field(default=None, description="Minimum memory of each GPU.")
    optional: bool | None = Field(
        default=None, description="Whether the stage runs on the CPU if the node has no such GPU."
    )


class ProgressDocument(Document):
    """Progress of the stage, read from its log. Several subjects can be tracked at the same time."""

    model = stage_rules.ProgressRule
    noun = "a progress rule"

    subject: str = Field(min_length=1, description="Name of what is counted, such as `frames`.")
    pattern: ProgressPattern = Field(
        description="Regular expression that is searched in each log line. It captures the progress in the group "
        "`current`, optionally with `total` and `unit`, or in the group `percent`: "
        "`frame (?P<current>\\d+)/(?P<total>\\d+)`."
    )


class RetriesDocument(Document):
    """When and how often a stage is retried."""

    model = pipeline.Retries
    noun = "`retries`"

    count: int | None = Field(default=None, ge=0, description="Maximum number of retries.")
    when: list[RetryWhen] | None = Field(
        default=None,
        description="Outcomes that are retried: `lost` (the node or the runner was lost), `failed` (an exit code that "
        "does not mean success), `out_of_memory`, `timed_out`, or specific exit codes.",
    )
    wait: Wait | None = Field(default=None, description="Wait before the first retry.")
    backoff: float | None = Field(default=None, ge=1, description="Factor by which the wait grows after each retry.")


class OutputDocument(Document):
    """Files that the stage must have written when it ends; it fails without them."""

    model = stage_rules.PromisedOutput
    noun = "an output"

    glob: Glob = Field(description="Pattern that at least one file in the output directory must match.")
    min_size: FileSize | None = Field(default=None, description="Minimum size of each matching file.")


class HighlightDocument(Document):
    """An output that is shown as a preview and never deleted by retention rules."""

    model = pipeline.Highlight
    noun = "a highlight"

    glob: Glob = Field(description="Pattern of the files to show, relative to the output directory.")
    title: str | None = Field(default=None, description="Title of the preview.")


class RetentionDocument(Document):
    """How long outputs and logs are kept. The first rule that matches a file applies; files without a rule are kept."""

    model = pipeline.RetentionRule
    noun = "a retention rule"

    what: Literal["outputs", "failed", "logs"] | None = Field(
        default=None,
        description="What the rule applies to: `outputs`; `failed`, the logs and leftovers of unsuccessful attempts; "
        "or `logs`, the logs of successful attempts.",
    )
    glob: Glob | None = Field(
        default=None, description="Pattern of the outputs that the rule applies to, relative to the output directory."
    )
    attempts: int | None = Field(default=None, ge=1, description="Number of latest attempts whose files are kept.")
    days: float | None = Field(
        default=None,
        ge=0,
        description="Number of days that files are kept; with `attempts`, files are kept as long as either applies.",
    )


class NeedsInputDocument(Document):
    """A question to a person before the stage runs. The project uses no resources while it waits."""

    model = pipeline.NeedsInput
    noun = "`needs_input`"

    when: Literal["always", "once", "unset", "asked"] | None = Field(
        default=None,
        description="When to ask: before every attempt (`always`), once per project (`once`), if one of `variables` "
        "has no value (`unset`), or only if the stage itself asks (`asked`).",
    )
    message: str | None = Field(default=None, description="Message to the person who is asked.")
    variables: list[VariableName] | None = Field(
        default=None, description="Variables that `unset` checks; by default those that the form sets."
    )
    form: Annotated[list[FieldDocument], Field(max_length=MOST_FIELDS)] | None = Field(
        default=None, description="Fields of the form."
    )


class StageFields(Document):
    """Fields that a stage and `defaults` have in common."""

    model = pipeline.Stage

    description: str | None = Field(default=None, description="What the stage does, in Markdown.")
    image: Image | None = Field(default=None, description="Container image of the stage.")
    args: Words | None = Field(
        default=None, description="Arguments for `command`, or for the image's entry point if there is none."
    )
    command: Words | None = Field(
        default=None,
        description="Program to run, followed by `args`, in a container or as a process. Without it, a container "
        "runs the entry point of its image.",
    )
    env: Environment | None = Field(
        default=None, description="Environment variables; they override those of the pipeline."
    )
    cpus: float | None = Field(default=None, gt=0, le=4096, description="Number of CPU cores.")
    memory: Memory | None = Field(default=None, description="Memory limit; the stage is killed if it exceeds it.")
    shm_size: DeviceMemory | None = Field(default=None, description="Size of /dev/shm, which PyTorch data loaders use.")
    gpu: Annotated[GpuDocument, BARE_COUNT] | None = Field(
        default=None, description="GPUs of the stage: a number, or requirements."
    )
    node_tags: list[NodeTag] | None = Field(default=None, description="Tags that the node must have, all of them.")
    network: bool | None = Field(default=None, description="Whether the stage has network access.")
    timeout: Timeout | None = Field(
        default=None, description="Maximum run time; the stage is stopped when it is exceeded."
    )
    stop_grace_period: Wait | None = Field(
        default=None, description="Time between SIGTERM and SIGKILL when the stage is stopped."
    )
    retries: RetriesDocument | None = Field(default=None, description="When the stage is retried.")
    progress: list[ProgressDocument] | None = Field(
        default=None, description="Rules that read the stage's progress from its log."
    )
    warnings: list[Pattern] | None = Field(
        default=None, description="Regular expressions of log lines that are warnings."
    )
    errors: list[Pattern] | None = Field(default=None, description="Regular expressions of log lines that are errors.")
    fail_on_error_line: bool | None = Field(
        default=None, description="Whether the stage fails if its log has an error line."
    )
    success_exit_codes: Annotated[list[ExitCode], Field(min_length=1)] | None = Field(
        default=None, description="Exit codes that mean success."
    )
    awaiting_input_exit_code: Annotated[int, Field(ge=1, le=HIGHEST_EXIT_CODE)] | None = Field(
        default=None, description="Exit code that means that the stage needs a person's input."
    )
    needs_input: NeedsInputDocument | None = Field(
        default=None, description="Input that the stage needs from a person."
    )
    outputs: list[Annotated[OutputDocument, BARE_GLOB]] | None = Field(
        default=None, description="Files that the stage must write."
    )
    checks: list[CheckDocument] | None = Field(default=None, description="Checks of the outputs of a successful stage.")
    highlights: list[Annotated[HighlightDocument, BARE_GLOB]] | None = Field(
        default=None, description="Outputs that are shown as previews."
    )
    views: list[TrajectoryViewDocument] | None = Field(
        default=None, description="What of the results is drawn together, before the previews."
    )
    retention: list[RetentionDocument] | None = Field(default=None, description="Rules for deleting outputs and logs.")

    @classmethod
    def model_of(cls, name: str) -> type[Frozen]:
        """See Document. The model keeps the rules for the log in a value of its own."""
        return stage_rules.LogRules if name in stage_rules.LogRules.model_fields else cls.model


class DefaultsDocument(StageFields):
    """Fields of every stage that does not set them itself."""

    noun = "`defaults`"


class StageDocument(StageFields):
    """One stage of the pipeline."""

    noun = "a stage"

    name: Name = Field(description="Name of the stage.")
    after: Annotated[list[Annotated[str, Field(title="stage name")]], ONE_NAME] | None = Field(
        default=None,
        description="Stages that must finish first, and whose outputs the stage reads; `[]` for none. By default the "
        "stage above.",
    )


class PipelineDocument(Document):
    """A pipeline file."""

    model = pipeline.Pipeline
    noun = "a pipeline"

    name: Name = Field(description="Name of the pipeline, equal to the file name without `.yaml`.")
    description: str | None = Field(default=None, description="What the pipeline does, in Markdown.")
    image: Image | None = Field(default=None, description="Container image of stages without their own.")
    command: Words | None = Field(default=None, description="Program of stages without their own.")
    env: Environment | None = Field(
        default=None, description="Environment variables of all stages; stages, projects and runs can override them."
    )
    inputs: dict[Name, InputDocument] | None = Field(default=None, description="Inputs of a project, by name.")
    defaults: DefaultsDocument | None = Field(default=None, description="Default values for the fields of stages.")
    stages: Annotated[list[StageDocument], Field(min_length=1)] = Field(description="Stages of the pipeline.")
