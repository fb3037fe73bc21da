"""Immutable copies of pipeline files: a project continues with the version that it was started with."""

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
    """Copy a pipeline file to `<versions_dir>/<name>/<digest>.yaml`, and return its digest (SHA-256 in hex).

    Only valid files are kept. The copy is atomic, also if others keep the same file at the same time; keeping a file
    again changes nothing. Raises PipelineInvalid, and StoreError if the copy cannot be written.
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
    """The pipeline of a kept version.

    Raises NotFound if the version does not exist, StoreError if its file was changed, and PipelineInvalid if this
    release rejects a file that an earlier one accepted.
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
    """The digests of all kept versions of a pipeline, the earliest first."""
    directory = versions_dir / name
    if not NAME.fullmatch(name) or not directory.is_dir():
        return ()
    kept = [path for path in directory.iterdir() if path.suffix == SUFFIX and _DIGEST.fullmatch(path.stem)]
    return tuple(path.stem for path in sorted(kept, key=lambda path: (path.stat().st_mtime_ns, path.stem)))


def _path_of(versions_dir: Path, name: str, digest: str) -> Path:
    return versions_dir / name / f"{digest}{SUFFIX}"


def _write_whole(target: Path, content: bytes) -> None:
    """Write a new file that is complete or missing after a crash."""
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
