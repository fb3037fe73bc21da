"""What all mappings have in common that people write."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from winslow_dagster.pipelines.model.frozen import Frozen

UNITS = ("", "_s", "_bytes")


class Document(BaseModel):
    """A mapping in a pipeline file. `becomes` is what it turns into; `called` names it in messages."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)
    becomes: ClassVar[type[Frozen]]
    called: ClassVar[str]

    @classmethod
    def target(cls, name: str) -> str:
        """The field of the resolved model that a field becomes; itself where the loader decides (loader.py)."""
        return next((name + unit for unit in UNITS if name + unit in cls.becomes.model_fields), name)

    def given(self) -> dict[str, Any]:
        """The fields that are written in the file, by their names there."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}

    def resolved(self) -> dict[str, Any]:
        """The fields that are written in the file, by their names in the resolved model."""
        return {self.target(name): _resolved(value) for name, value in self.given().items()}


def _resolved(value: Any) -> Any:
    match value:
        case Document():
            return value.resolved()
        case list():
            return [_resolved(item) for item in value]
        case dict():
            return {key: _resolved(item) for key, item in value.items()}
        case _:
            return value
