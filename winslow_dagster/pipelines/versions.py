"""Immutable copies of pipeline files, so that a project goes on with the file it was started with."""

from __future__ import annotations

import os
import re
import tempfile
from hashlib import sha256
from pathlib import Path

from winslow_dagster.errors import NotFound, StoreError
from winslow_dagster.pipelines.config_file import read_content
from winslow_dagster.pipelines.loader import SUFFIX, parse_pipeline
from winslow_dagster.pipelines.model.pipeline import Pipeline
from winslow_dagster.pipelines.schema.value_parsers import NAME

_DIGEST = re.compile(r"[0-9a-f]{64}")
_READ_ONLY = 0o444


def keep_version(path: Path, versions_dir: Path) -> str:
    """Copy a pipeline file to `<versions_dir>/<name>/<digest>.yaml` and give its digest (SHA-256 in hex).

    Only a file that can be used is kept. The copy is complete or not there, whoever else keeps the same file at the
    same time; keeping it again changes nothing. `load_version` with this digest gives what was in the file now, even
    if it changes between the two. Raises PipelineInvalid, and StoreError where the copy cannot be written.
    """
    content = read_content(path)
    parse_pipeline(content, str(path), path.stem)
    digest = sha256(content).hexdigest()
    target = _path_of(versions_dir, path.stem, digest)
    try:
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(target, content)
    except OSError as error:
        raise StoreError(
            f"a version of {path.stem} cannot be stored: {error.strerror}",
            where=str(target),
            expected="a writable directory",
        ) from error
    return digest


def load_version(versions_dir: Path, name: str, digest: str) -> Pipeline:
    """The pipeline as it was kept.

    Raises NotFound where there is no such version, StoreError where the copy is not what was kept, PipelineInvalid
    where this release no longer reads what an earlier one kept.
    """
    path = _path_of(versions_dir, name, digest)
    if not _DIGEST.fullmatch(digest) or not NAME.fullmatch(name) or not path.is_file():
        known = version_digests(versions_dir, name)
        raise NotFound(
            f"version {digest} of {name} does not exist",
            where=str(versions_dir),
            expected=f"one of {', '.join(known)}" if known else "a stored version",
        )
    content = read_content(path)
    if sha256(content).hexdigest() != digest:
        raise StoreError(
            f"the stored version of {name} was changed",
            where=str(path),
            expected=f"content with the SHA-256 {digest}",
            remedy="Restore the file from a backup, or start the project again with the current version.",
        )
    return parse_pipeline(content, str(path), name)


def version_digests(versions_dir: Path, name: str) -> tuple[str, ...]:
    """The digests of all versions that were kept of a pipeline, the earliest first."""
    directory = versions_dir / name
    if not NAME.fullmatch(name) or not directory.is_dir():
        return ()
    kept = [path for path in directory.iterdir() if path.suffix == SUFFIX and _DIGEST.fullmatch(path.stem)]
    return tuple(path.stem for path in sorted(kept, key=lambda path: (path.stat().st_mtime_ns, path.stem)))


def _path_of(versions_dir: Path, name: str, digest: str) -> Path:
    return versions_dir / name / f"{digest}{SUFFIX}"


def _write_whole(target: Path, content: bytes) -> None:
    """Write a new file so that after a crash it is there whole, or not at all."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(_READ_ONLY)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
