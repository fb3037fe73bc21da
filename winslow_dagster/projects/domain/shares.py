"""Links by which somebody without an account downloads one file or one folder."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from winslow_dagster.projects.domain.downloads import OutputFolder
from winslow_dagster.storage.archives import ArchiveFormat

SHARE_DAYS = 7.0
LONGEST_SHARE_DAYS = 30.0
SHARE_PATH = "/shared"


class SharedFile(BaseModel):
    """One file of a project, as it was: of an attempt of a stage, or of an input."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["file"] = "file"
    stage: str
    path: str
    pipeline: str | None = None
    task_id: str | None = None
    blake3: str


class SharedFolder(BaseModel):
    """The outputs that a project, a stage or an attempt had, as one archive."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["folder"] = "folder"
    folder: OutputFolder
    format: ArchiveFormat


class SharedPoolFile(BaseModel):
    """A file or, as an archive, a directory of the pool. The address is that of its content."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["pool"] = "pool"
    name: str
    address: str
    format: ArchiveFormat | None = None


SharedThing = Annotated[SharedFile | SharedFolder | SharedPoolFile, Field(discriminator="kind")]


class Share(BaseModel):
    """A link, without its key. `name` is that of the file that is downloaded. `uses` counts downloads."""

    model_config = ConfigDict(frozen=True)

    id: int
    project: str | None
    name: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    revoked_by: str = ""
    uses: int = 0
    used_at: datetime | None = None
    used_from: str = ""


class NewShare(BaseModel):
    """A new link, and the only time that its key is shown. `path` is its place on the server."""

    model_config = ConfigDict(frozen=True)

    share: Share
    key: str

    @property
    def path(self) -> str:
        """The path of the link on the web server."""
        return f"{SHARE_PATH}/{self.key}"
