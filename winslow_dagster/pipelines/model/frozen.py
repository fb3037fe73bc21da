"""The base of all frozen values."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Frozen(BaseModel):
    """A value: unknown fields are errors, nothing changes after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid")
