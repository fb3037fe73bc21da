"""A pipeline file to a `Pipeline`, or to everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from winslow_dagster.errors import PipelineInvalid
from winslow_dagster.pipelines.consistency import check_whole
from winslow_dagster.pipelines.forms.validation import placed
from winslow_dagster.pipelines.model.pipeline import LogRules, Pipeline
from winslow_dagster.pipelines.schema.pipeline_fields import PipelineDocument
from winslow_dagster.pipelines.schema.validation_messages import findings
from winslow_dagster.pipelines.yaml import reader
from winslow_dagster.pipelines.yaml.composer import LARGEST_FILE_BYTES, Mark, unusable

SUFFIX = ".yaml"


def load_pipeline(path: Path) -> Pipeline:
    """The pipeline of a file. Raises PipelineInvalid with all problems of the file."""
    return parse_pipeline(read_content(path), str(path), path.stem)


def read_content(path: Path) -> bytes:
    """The bytes of a pipeline file. Raises PipelineInvalid where there is no readable file."""
    try:
        if path.exists() and not path.is_file():
            raise unusable(str(path), Mark(1, 1), "this is not a file", "a YAML file")
        with path.open("rb") as file:
            return file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        what = f"the file cannot be read: {error.strerror}"
        raise unusable(str(path), Mark(1, 1), what, "a file that this user may read") from error


def parse_pipeline(content: bytes, file: str, name: str) -> Pipeline:
    """The pipeline in `content`. `file` stands in messages; `name` is what the pipeline has to be called.

    Raises PipelineInvalid with all problems, in the order of the file.
    """
    tree = reader.read_tree(content, file)
    document: PipelineDocument | None = None
    try:
        document = PipelineDocument.model_validate(tree.data)
    except ValidationError as error:
        for found in findings(error, PipelineDocument):
            if found.empty:
                continue  # reader.py has noted it
            mark = tree.key_mark(found.path) if found.at_key else tree.mark(found.path)
            tree.note(mark, found.what, found.expected, found.suggestion)
    check_whole(tree, name)
    if tree.problems or document is None:
        problems = tuple(sorted(set(tree.problems)))
        raise PipelineInvalid("\n".join(map(str, problems)), problems=problems)
    return _resolve(document)


def _resolve(document: PipelineDocument) -> Pipeline:
    """The same pipeline with its defaults applied to every stage."""
    whole = document.resolved()
    defaults: dict[str, Any] = whole.pop("defaults", {})
    # The pipeline's variables stay a layer below a stage's own: a value there may refer to the one it covers.
    whole["env"] = whole.get("env", {}) | defaults.pop("env", {})
    shared = {key: whole.pop(key) for key in ("image", "command") if key in whole} | defaults
    above: tuple[str, ...] = ()
    stages = []
    for stage in whole["stages"]:
        values = {"after": above} | shared | stage
        if values.get("gpu", {}).get("count") == 0:
            del values["gpu"]
        if "needs_input" in values:
            values["needs_input"] = placed(values["needs_input"], values["after"])
        values["log"] = {key: values.pop(key) for key in LogRules.model_fields if key in values}
        stages.append(values)
        above = (stage["name"],)
    return Pipeline.model_validate(whole | {"stages": stages})
