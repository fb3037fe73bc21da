"""The quotas of an installation as a YAML file. Where there is one, quotas are changed in it only."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field

from winslow_dagster.errors import QuotasInvalid
from winslow_dagster.pipelines.config_file import load_config
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.pipelines.problems import shown
from winslow_dagster.pipelines.schema.base import Document
from winslow_dagster.pipelines.schema.field_types import Written
from winslow_dagster.pipelines.schema.value_parsers import size_reader
from winslow_dagster.pipelines.yaml.reader import Tree
from winslow_dagster.projects.domain.quotas import LARGEST_BYTES, Quota, QuotaKind, is_quota_name

Limits = dict[str, Annotated[int, Written(size_reader(1))]]
KINDS: tuple[tuple[str, QuotaKind], ...] = (("projects", "project"), ("owners", "owner"))


class QuotasDocument(Document):
    """The quotas of an installation."""

    model = Frozen
    noun = "the file of quotas"

    projects: Limits | None = Field(default=None, description="Project -> limit. `*`: all without one of their own.")
    owners: Limits | None = Field(
        default=None, description="Person -> limit of everything that is theirs; `*` as above."
    )


def quotas_in(file: Path) -> tuple[Quota, ...]:
    """The quotas in a file. Raises QuotasInvalid with all problems."""
    document = load_config(file, QuotasDocument, QuotasInvalid, _check_whole)
    changed_at = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    return tuple(
        Quota(kind=kind, name=name, limit_bytes=limit_bytes, set_by=file.name, set_at=changed_at)
        for field, kind in KINDS
        for name, limit_bytes in sorted((getattr(document, field, None) or {}).items())
    )


def _check_whole(tree: Tree, document: QuotasDocument | None) -> None:
    """Check names, and that a database could have the limits, too."""
    for field, _ in KINDS:
        for name, limit_bytes in (getattr(document, field, None) or {}).items():
            if not is_quota_name(name):
                tree.note(tree.key_mark((field, name)), f"{shown(name)} is not a name", "a project or a person, or *")
            if limit_bytes > LARGEST_BYTES:
                tree.note(tree.mark((field, name)), f"a quota of {limit_bytes} bytes", "less than 4 EiB")
