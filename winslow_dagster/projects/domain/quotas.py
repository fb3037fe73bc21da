"""How much space a project, or everything of a person, may take."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from winslow_dagster.formatting import format_size
from winslow_dagster.pipelines.model.frozen import Frozen

QuotaKind = Literal["project", "owner"]
QuotaState = Literal["ok", "near", "over"]
EVERYBODY = "*"
"""The name of the quota of those that have none of their own."""
NEAR = 0.8
"""From this share on, people are warned."""
LONGEST_NAME = 200
LARGEST_BYTES = (1 << 62) - 1


def is_quota_name(name: str) -> bool:
    """Whether a project or a person could have the name."""
    return 0 < len(name) <= LONGEST_NAME and name.isprintable()


class Quota(Frozen):
    """A limit of one project, or of one owner: of their projects, their files in the pool, and their uploads.

    The name `*` is for all that have no quota of their own.
    """

    kind: QuotaKind
    name: str
    limit_bytes: int
    set_by: str
    set_at: datetime


class QuotaUse(Frozen):
    """How much of a quota is used. `growing_bytes` is what running stages have written so far, beside that.

    `owner`: to whom the project belongs.
    """

    kind: QuotaKind
    name: str
    owner: str = ""
    limit_bytes: int
    used_bytes: int
    growing_bytes: int = 0

    @property
    def state(self) -> QuotaState:
        """Whether it is nearly used up, or all of it or more is taken."""
        taken_bytes = self.used_bytes + self.growing_bytes
        if taken_bytes >= self.limit_bytes:
            return "over"
        return "near" if taken_bytes >= NEAR * self.limit_bytes else "ok"

    @property
    def text(self) -> str:
        """The use in a sentence."""
        whose = f"Project {self.name}" if self.kind == "project" else f"Everything of {self.name}"
        growing = f", and running stages write {format_size(self.growing_bytes)} more" if self.growing_bytes else ""
        return f"{whose} takes {format_size(self.used_bytes)} of {format_size(self.limit_bytes)}{growing}."


class QuotaUseView(QuotaUse):
    """The same with its state and sentence, as programs get it."""

    current_state: QuotaState
    sentence: str

    @classmethod
    def of(cls, use: QuotaUse) -> QuotaUseView:
        """Show a use."""
        return cls(**use.model_dump(), current_state=use.state, sentence=use.text)


class QuotaOverview(Frozen):
    """The quotas, and how much is used of those that have one of their own, are near it, or over it.

    `in_file`: they are in `file`, and are changed there. `fault` says why that cannot be used.
    """

    quotas: tuple[Quota, ...]
    uses: tuple[QuotaUseView, ...]
    file: str = ""
    in_file: bool = False
    fault: str = ""
