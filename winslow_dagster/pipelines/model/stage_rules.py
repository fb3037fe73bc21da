"""What a pipeline says of a stage that its runner needs, too, as frozen values.

A stage starts without the rest of the pipeline's model: it would import that for longer than many a stage runs.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from winslow_dagster.pipelines.model.frozen import Frozen


class Gpu(Frozen):
    """GPUs of a stage. `optional`: the stage runs on the CPU if the node has none."""

    count: int = Field(default=1, ge=1)
    vendor: Literal["nvidia", "amd", "intel"] | None = None
    memory_bytes: int | None = None
    optional: bool = False


class ProgressRule(Frozen):
    """`pattern` has the group `current`, and optionally `total` and `unit`; or the group `percent`."""

    subject: str
    pattern: str


class LogRules(Frozen):
    """What is read from the log. Every pattern is a regular expression in RE2 syntax, searched in each line."""

    progress: tuple[ProgressRule, ...] = ()
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    fail_on_error_line: bool = False


class PromisedOutput(Frozen):
    """At least one file must match `glob`, and each match must have at least `min_size_bytes`."""

    glob: str
    min_size_bytes: int = 0
