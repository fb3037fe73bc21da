"""Loads and validates pipeline files. Pure: no Dagster, no Docker, no database.

`load` loads one file, `Catalogue.read` all files of a directory, and `pipeline_names` lists them. `keep_version` and
`load_version` store and load immutable versions. `resolve_environment` and `substitute` substitute `${VAR}`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from winslow_dagster.pipelines.catalogue import Catalogue, LoadedPipeline, load, pipeline_names
    from winslow_dagster.pipelines.forms.answer import CheckedAnswer, check_answer
    from winslow_dagster.pipelines.forms.json_file import parse_form
    from winslow_dagster.pipelines.forms.judgement import AnswerJudgement, judge_answer
    from winslow_dagster.pipelines.loader import load_pipeline, parse_pipeline
    from winslow_dagster.pipelines.model.form import Form
    from winslow_dagster.pipelines.model.pipeline import Pipeline, Stage
    from winslow_dagster.pipelines.problems import Problem, nearest
    from winslow_dagster.pipelines.schema.json_schema import json_schema, schema_text
    from winslow_dagster.pipelines.substitution import escape, references, resolve_environment, substitute
    from winslow_dagster.pipelines.units import parse_duration_s, parse_size_bytes
    from winslow_dagster.pipelines.variables import (
        Layer,
        SecretReference,
        Variables,
        VariableValue,
        plain_variables,
        read_variables,
        secrets_of,
    )
    from winslow_dagster.pipelines.versions import keep_version, load_version, version_digests

__all__ = [
    "AnswerJudgement",
    "Catalogue",
    "CheckedAnswer",
    "Form",
    "Layer",
    "LoadedPipeline",
    "Pipeline",
    "Problem",
    "SecretReference",
    "Stage",
    "VariableValue",
    "Variables",
    "check_answer",
    "escape",
    "json_schema",
    "judge_answer",
    "keep_version",
    "load",
    "load_pipeline",
    "load_version",
    "nearest",
    "parse_duration_s",
    "parse_form",
    "parse_pipeline",
    "parse_size_bytes",
    "pipeline_names",
    "plain_variables",
    "read_variables",
    "references",
    "resolve_environment",
    "schema_text",
    "secrets_of",
    "substitute",
    "version_digests",
]

HOMES = {
    "AnswerJudgement": "forms.judgement",
    "Catalogue": "catalogue",
    "CheckedAnswer": "forms.answer",
    "Form": "model.form",
    "Layer": "variables",
    "LoadedPipeline": "catalogue",
    "Pipeline": "model.pipeline",
    "Problem": "problems",
    "SecretReference": "variables",
    "Stage": "model.pipeline",
    "VariableValue": "variables",
    "Variables": "variables",
    "check_answer": "forms.answer",
    "escape": "substitution",
    "json_schema": "schema.json_schema",
    "judge_answer": "forms.judgement",
    "keep_version": "versions",
    "load": "catalogue",
    "load_pipeline": "loader",
    "load_version": "versions",
    "nearest": "problems",
    "parse_duration_s": "units",
    "parse_form": "forms.json_file",
    "parse_pipeline": "loader",
    "parse_size_bytes": "units",
    "pipeline_names": "catalogue",
    "plain_variables": "variables",
    "read_variables": "variables",
    "references": "substitution",
    "resolve_environment": "substitution",
    "schema_text": "schema.json_schema",
    "secrets_of": "variables",
    "substitute": "substitution",
    "version_digests": "versions",
}


def __getattr__(name: str) -> Any:
    """What is asked for, from its home: a program that needs values only, such as a stage runner, starts sooner."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
    globals()[name] = found
    return found
