"""Loads and validates pipeline files. Pure: no Dagster, no Docker, no database.

`load` loads one file, `Catalogue.read` all files of a directory, and `pipeline_names` lists them. `keep_version` and
`load_version` store and load immutable versions. `resolve_environment` and `substitute` substitute `${VAR}`.
"""

from winslow_dagster.pipelines.catalogue import Catalogue, LoadedPipeline, load, pipeline_names
from winslow_dagster.pipelines.changes import changes
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
    "changes",
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
