"""What requests bring that try or replace a setting of the installation: a text in YAML, and which one it replaces."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from winslow_dagster.projects.database.stored_settings import LONGEST_TEXT


class SettingText(BaseModel):
    """A text to try. Unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(max_length=LONGEST_TEXT, description="YAML, as in the file of this setting.")]


class SettingChange(SettingText):
    """A text to keep in the place of that of `version`; 0 if there is none yet."""

    version: Annotated[int, Field(ge=0, le=2**31 - 2)]
