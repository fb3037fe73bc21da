"""What Dagit shows of pipelines and stages whose files do not describe them."""

from __future__ import annotations

from winslow_dagster.formatting import shortened
from winslow_dagster.pipelines.model.pipeline import Pipeline, Stage

LONGEST_PROGRAM = 200


def describe_pipeline(pipeline: Pipeline) -> str:
    """Its description, or its stages in their order."""
    return pipeline.description or f"Runs {', '.join(stage.name for stage in pipeline.stages)}."


def describe_stage(stage: Stage) -> str:
    """Its description, or the program that it runs."""
    if stage.description:
        return stage.description
    program = " ".join(" ".join((*stage.command, *stage.args)).split())
    shown = shortened(program, LONGEST_PROGRAM)
    where = f" in the image `{stage.image}`" if stage.image else ""
    return f"Runs `{shown}`{where}." if shown else f"Runs the image `{stage.image}`."
