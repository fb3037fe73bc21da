"""How the run queue is shared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from winslow_dagster.errors import SettingsInvalid
from winslow_dagster.settings.variables import weights

ShareBy = Literal["owner", "project", "none"]
SHARE_BY: tuple[ShareBy, ...] = get_args(ShareBy)


class QueueSettings(BaseModel):
    """How the run queue is shared."""

    model_config = ConfigDict(frozen=True)

    queue_share_by: ShareBy = Field(
        default="owner",
        description="Who takes turns in the run queue within a priority: `owner` (of projects), `project`, or `none`: "
        "first come, first served.",
    )
    queue_weights: dict[str, float] = Field(
        default={},
        description="Weights of owners or projects in the run queue: `name=weight`, separated by commas, such as "
        "`anna=2,students=0.5`. A weight of 2 has twice as many places as one of 1, which is the default.",
    )

    def variables(self) -> dict[str, str]:
        """These settings as environment variables."""
        weights = ",".join(f"{name}={weight!r}" for name, weight in self.queue_weights.items())
        return {"WINSLOW_QUEUE_SHARE_BY": self.queue_share_by, "WINSLOW_QUEUE_WEIGHTS": weights}

    @classmethod
    def read(cls, source: Mapping[str, str]) -> QueueSettings:
        """Read the variables. Raises SettingsInvalid."""
        text = source.get("WINSLOW_QUEUE_SHARE_BY") or "owner"
        by = next((each for each in SHARE_BY if each == text), None)
        if by is None:
            raise SettingsInvalid(
                f"WINSLOW_QUEUE_SHARE_BY is {text!r}", where="environment", expected=f"one of {', '.join(SHARE_BY)}"
            )
        return cls(queue_share_by=by, queue_weights=weights(source, "WINSLOW_QUEUE_WEIGHTS"))
