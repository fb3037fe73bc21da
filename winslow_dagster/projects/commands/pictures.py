"""Which picture stands for a project."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath

from winslow_dagster.globs import matches
from winslow_dagster.pipelines.model.pipeline import Stage
from winslow_dagster.projects.domain.lineage import Lineage
from winslow_dagster.storage.manifest import FileEntry, Manifest

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"})


def newest_picture(
    lineage: Lineage, outputs: Mapping[str, Manifest], most_bytes: int
) -> tuple[str, Manifest, FileEntry] | None:
    """The stage, its outputs and the picture: of the stage that ended last, of those that have one that small."""
    ended = {stage: attempt.ended_at or datetime.min.replace(tzinfo=UTC) for stage, attempt in lineage.current.items()}
    stages = {stage.name: stage for stage in lineage.pipeline.stages}
    for name in sorted(outputs.keys() & stages.keys(), key=lambda stage: ended[stage], reverse=True):
        small = [
            entry
            for entry in outputs[name].files
            if PurePosixPath(entry.path).suffix.lower() in SUFFIXES and 0 < entry.size_bytes <= most_bytes
        ]
        if (found := _chosen(stages[name], small)) is not None:
            return name, outputs[name], found
    return None


def _chosen(stage: Stage, pictures: Iterable[FileEntry]) -> FileEntry | None:
    """The first that the stage highlights; of a stage that highlights nothing, the first by path."""
    by_path = sorted(pictures, key=lambda entry: entry.path)
    if not stage.highlights:
        return next(iter(by_path), None)
    return next(
        (entry for highlight in stage.highlights for entry in by_path if matches(entry.path, highlight.glob)), None
    )
