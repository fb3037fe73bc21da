"""To-dos of a project."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class Todo(BaseModel):
    """Something to do for a project; `number` identifies it in the project."""

    model_config = ConfigDict(frozen=True)

    number: int
    text: str
    created_at: datetime
    created_by: str
    done_at: datetime | None = None
    done_by: str | None = None
