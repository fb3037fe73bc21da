"""Pipeline files with their problems, and their versions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from winslow_dagster.pipelines import Pipeline, Problem


@dataclass(frozen=True, slots=True)
class PipelineFile:
    """One pipeline file. `pipeline` and `digest` are None if it has problems."""

    name: str
    path: Path
    pipeline: Pipeline | None
    digest: str | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class PipelineFiles:
    """All pipeline files by name. `others` are the problems of files that no pipeline can be in."""

    files: tuple[PipelineFile, ...]
    others: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class PipelineVersionView:
    """A kept version of a pipeline, and the projects whose version it is. `current`: it is the file as it is now."""

    digest: str
    kept_at: datetime
    current: bool
    projects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VersionChanges:
    """What changed from one version to another, one line for each difference."""

    old: str
    new: str
    changes: tuple[str, ...]
