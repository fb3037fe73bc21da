"""Loads a pipeline file, or reports all of its problems."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from winslow_dagster.pipelines.config_file import parse_document, read_content
from winslow_dagster.pipelines.consistency import check_whole
from winslow_dagster.pipelines.forms.validation import with_default_stage
from winslow_dagster.pipelines.model.pipeline import Pipeline
from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.pipelines.schema.pipeline_fields import PipelineDocument

SUFFIX = ".yaml"


def load_pipeline(path: Path) -> Pipeline:
    """The pipeline of a file. Raises PipelineInvalid with all problems of the file."""
    return parse_pipeline(read_content(path), str(path), path.stem)


def parse_pipeline(content: bytes, file: str, name: str) -> Pipeline:
    """The pipeline in `content`. `file` is named in messages; `name` is the name that the pipeline must have.

    Raises PipelineInvalid with all problems, in the order of the file.
    """
    return _resolve(parse_document(content, file, PipelineDocument, lambda tree, _: check_whole(tree, name)))


def _resolve(document: PipelineDocument) -> Pipeline:
    """The pipeline, with its defaults applied to every stage."""
    whole = document.resolved()
    defaults: dict[str, Any] = whole.pop("defaults", {})
    # The pipeline's variables stay a layer below those of a stage: a stage's value may refer to the one it overrides.
    whole["env"] = whole.get("env", {}) | defaults.pop("env", {})
    shared = {key: whole.pop(key) for key in ("image", "command") if key in whole} | defaults
    above: tuple[str, ...] = ()
    stages = []
    for stage in whole["stages"]:
        values = {"after": above} | shared | stage
        if values.get("gpu", {}).get("count") == 0:
            del values["gpu"]
        if "needs_input" in values:
            values["needs_input"] = with_default_stage(values["needs_input"], values["after"])
        values["log"] = {key: values.pop(key) for key in LogRules.model_fields if key in values}
        stages.append(values)
        above = (stage["name"],)
    return Pipeline.model_validate(whole | {"stages": stages})
