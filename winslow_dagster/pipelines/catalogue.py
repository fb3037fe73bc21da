"""The pipeline files of a directory: loaded, or only listed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

from winslow_dagster.errors import PipelineInvalid
from winslow_dagster.pipelines.config_file import read_content
from winslow_dagster.pipelines.loader import SUFFIX, parse_pipeline
from winslow_dagster.pipelines.model.pipeline import Pipeline
from winslow_dagster.pipelines.problems import Problem
from winslow_dagster.pipelines.schema.value_parsers import NAME

_LOOKALIKES = frozenset({".yml", ".YAML", ".YML"})


@dataclass(frozen=True, slots=True)
class LoadedPipeline:
    """A pipeline, its file, and the SHA-256 of the file's content, in hex."""

    path: Path
    pipeline: Pipeline
    digest: str


def load(path: Path) -> LoadedPipeline:
    """The pipeline of one file, with the digest of the same read of the file. Raises PipelineInvalid."""
    content = read_content(path)
    return LoadedPipeline(path, parse_pipeline(content, str(path), path.stem), sha256(content).hexdigest())


def pipeline_names(directory: Path) -> dict[str, Path]:
    """Name -> file of every pipeline in `directory`, in order, without reading the files.

    Files with invalid names are left out; `Catalogue.read` reports them. Empty if the directory does not exist.
    """
    if not directory.exists():
        return {}
    return {path.stem: path for path, is_file in _entries(directory) if is_file and NAME.fullmatch(path.stem)}


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The valid pipelines of a directory, by name, and the problems of the others."""

    directory: Path
    pipelines: Mapping[str, LoadedPipeline]
    problems: tuple[Problem, ...]

    @classmethod
    def read(cls, directory: Path) -> Catalogue:
        """Load every file. An invalid file does not affect the others."""
        pipelines: dict[str, LoadedPipeline] = {}
        problems: list[Problem] = []
        try:
            paths = [path for path, _ in _entries(directory, also=_LOOKALIKES)]
        except OSError as error:
            what = f"the directory cannot be read: {error.strerror}"
            return cls(directory, {}, (Problem(str(directory), 1, 1, what, "a directory of pipeline files"),))
        for path in paths:
            if path.suffix != SUFFIX:
                what = f"pipeline files end in {SUFFIX}, not in {path.suffix}"
                problems.append(Problem(str(path), 1, 1, what, "another name", path.with_suffix(SUFFIX).name))
                continue
            try:
                pipelines[path.stem] = load(path)
            except PipelineInvalid as error:
                problems.extend(error.problems)
        return cls(directory, MappingProxyType(pipelines), tuple(problems))


def _entries(directory: Path, also: frozenset[str] = frozenset()) -> Iterator[tuple[Path, bool]]:
    """Paths that look like pipeline files, in order, and whether they are files. Editors' swap files are hidden."""
    with os.scandir(directory) as entries:
        names = sorted(
            (entry.name, entry.is_file())
            for entry in entries
            if not entry.name.startswith(".") and os.path.splitext(entry.name)[1] in {SUFFIX, *also}  # noqa: PTH122 # 500 Paths cost 10x
        )
    for name, is_file in names:
        yield directory / name, is_file
