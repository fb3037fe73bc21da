"""What can be downloaded as one archive."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class ArchivedOutputs(BaseModel):
    """The outputs of one attempt, in a folder of the archive."""

    model_config = ConfigDict(frozen=True)

    task_id: str
    folder: str


class OutputFolder(BaseModel):
    """The outputs of some attempts of a project, as an archive of this name."""

    model_config = ConfigDict(frozen=True)

    name: str
    outputs: tuple[ArchivedOutputs, ...]
