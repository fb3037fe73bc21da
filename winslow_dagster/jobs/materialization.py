"""The asset materialization by which Dagit shows a finished stage."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from dagster import AssetKey, AssetMaterialization, DagsterEventType, MetadataValue, OpExecutionContext

from winslow_dagster.globs import matches
from winslow_dagster.jobs.console_page import CONSOLE_PAGE, console_page
from winslow_dagster.json_text import JsonMalformed, parse_json
from winslow_dagster.pipelines.model.pipeline import Highlight
from winslow_dagster.pipelines.units import parse_finite
from winslow_dagster.projects.planning.stage_decision import StageCall
from winslow_dagster.settings import Settings
from winslow_dagster.stages.task.model import StageResult
from winslow_dagster.storage.factory import open_store
from winslow_dagster.storage.manifest import FileEntry, Manifest
from winslow_dagster.storage.store import Store

IMAGE_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".svg": "image/svg+xml"}
MAX_IMAGE_BYTES = 200_000
"""A preview is part of an event in the database, so that larger images have none."""
MAX_TABLE_BYTES = 64_000
PREVIEW_ROWS = 10
MAX_PREVIEWS = 3


def materialized(context: OpExecutionContext) -> bool:
    """Whether this run has already materialized this stage, before a crash."""
    step_key = context.get_step_execution_context().step.key
    events = context.instance.get_records_for_run(context.run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION)
    return any(record.event_log_entry.step_key == step_key for record in events.records)


def materialization(settings: Settings, call: StageCall, result: StageResult) -> AssetMaterialization:
    """The stage's asset in the project's partition."""
    metadata = result_metadata(call, result)
    if result.outputs is not None:
        store = open_store(settings.store_url, settings.s3_endpoint)
        metadata |= output_metadata(store, result.outputs)
        metadata |= previews(store, result.outputs, call.stage.highlights)
    return AssetMaterialization(
        asset_key=AssetKey([call.pipeline.name, call.stage.name]),
        partition=call.request.project,
        description=result.message,
        metadata=metadata,
    )


def result_metadata(call: StageCall, result: StageResult) -> dict[str, Any]:
    """The facts of an attempt, whatever its outcome."""
    metadata: dict[str, Any] = {
        CONSOLE_PAGE: console_page(call.request.project, call.stage.name),
        "outcome": result.outcome,
        "duration_s": round(result.duration_s, 3),
        "node": result.node,
        "mode": result.mode or "",
        "warnings": result.log.warning_count,
        "errors": result.log.error_count,
        "log_lines": result.log.lines,
    }
    if result.exit_code is not None:
        metadata["exit_code"] = result.exit_code
    if result.image_digest:
        metadata["image_digest"] = result.image_digest
    if result.peak_memory_bytes is not None:
        metadata["peak_memory_bytes"] = result.peak_memory_bytes
    if result.unenforced:
        metadata["limits_not_enforced"] = ", ".join(result.unenforced)
    for subject in result.log.progress:
        metadata[f"progress/{subject.subject}"] = (
            f"{subject.current:g}" if subject.total is None else f"{subject.current:g}/{subject.total:g}"
        )
    for name, value in result.log.results.items():
        metadata[f"result/{name}"] = _number_or_text(value)
    if result.log.errors:
        metadata["first_errors"] = MetadataValue.md(
            "\n".join(f"- line {finding.line}: `{finding.text}`" for finding in result.log.errors[:5])
        )
    return metadata


def output_metadata(store: Store, outputs: Manifest) -> dict[str, Any]:
    """The location and size of the outputs."""
    path = store.read_only_path(outputs)
    rows = "\n".join(f"| {file.path} | {file.size_bytes:,} |" for file in outputs.files[:50])
    return {
        "size_bytes": outputs.size_bytes,
        "files": len(outputs.files),
        "outputs": MetadataValue.path(str(path)) if path else outputs.address,
        "file_list": MetadataValue.md(f"| file | bytes |\n|---|---|\n{rows}"),
    }


def previews(store: Store, outputs: Manifest, highlights: Sequence[Highlight]) -> dict[str, Any]:
    """The highlighted outputs that are small pictures or tables, as they are."""
    shown: dict[str, Any] = {}
    for file in outputs.files:
        if len(shown) == MAX_PREVIEWS:
            break
        highlight = next((each for each in highlights if matches(file.path, each.glob)), None)
        if highlight is None:
            continue
        preview = _preview(store, outputs, file)
        if preview is not None:
            label = f"{highlight.title} ({file.path})" if highlight.title else file.path
            shown[f"preview/{label}"] = preview
    return shown


def _preview(store: Store, outputs: Manifest, file: FileEntry) -> MetadataValue[Any] | None:
    suffix = file.path[file.path.rfind(".") :].lower()
    if suffix in IMAGE_TYPES and file.size_bytes <= MAX_IMAGE_BYTES:
        data = base64.b64encode(store.read_range(outputs, file, 0, file.size_bytes)).decode()
        return MetadataValue.md(f"![{file.path}](data:{IMAGE_TYPES[suffix]};base64,{data})")
    if suffix == ".csv":
        head = store.read_range(outputs, file, 0, min(file.size_bytes, MAX_TABLE_BYTES))
        lines = head.decode(errors="replace").splitlines()[: PREVIEW_ROWS + 1]
        return MetadataValue.md(markdown_table(list(csv.reader(io.StringIO("\n".join(lines))))))
    if suffix == ".json" and file.size_bytes <= MAX_TABLE_BYTES:
        try:
            return MetadataValue.json(parse_json(store.read_range(outputs, file, 0, file.size_bytes)))
        except JsonMalformed:
            return None
    return None


def markdown_table(rows: list[list[str]]) -> str:
    """A Markdown table whose header is the first row."""
    if not rows:
        return "(empty)"
    width = len(rows[0])
    cells = [[cell.replace("|", "\\|") for cell in (row + [""] * width)[:width]] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * width, *lines[1:]])


def _number_or_text(value: str) -> float | int | str:
    number = parse_finite(value)
    if number is None:
        return value
    return int(value) if re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()) else number
