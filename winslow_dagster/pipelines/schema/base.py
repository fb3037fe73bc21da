"""The base of all models that validate a mapping in a YAML file."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from winslow_dagster.pipelines.model.frozen import Frozen

UNITS = ("", "_s", "_bytes")


class Document(BaseModel):
    """A mapping in a YAML file. It is resolved to a `model`; messages name it by its `noun`, such as `a stage`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)
    model: ClassVar[type[Frozen]]
    noun: ClassVar[str]

    @classmethod
    def model_of(cls, name: str) -> type[Frozen]:
        """The model that has the value of a field."""
        del name
        return cls.model

    @classmethod
    def target(cls, name: str) -> str:
        """The name of a field in the model; the same name if the loader resolves the field (loader.py)."""
        fields = cls.model_of(name).model_fields
        return next((name + unit for unit in UNITS if name + unit in fields), name)

    def resolved(self) -> dict[str, Any]:
        """The fields that the file sets, by their names in the model."""
        fields = [name for name in type(self).model_fields if name in self.model_fields_set]
        return {self.target(name): _resolved(getattr(self, name)) for name in fields}


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
