"""Values of environment variables: a text (a template), or a reference to a stored secret."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    model_serializer,
)

STORED_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}"


class SecretReference(BaseModel):
    """The stored secret `secret`, never its value.

    The stage reads it from a file and, with `in_env`, also from the variable; None means as declared in a lower layer.
    `digest` tells values apart without revealing them; it is set once an attempt is planned.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret: str = Field(pattern=rf"^{STORED_NAME}$")
    in_env: bool | None = None
    digest: str = ""

    @model_serializer(mode="wrap")
    def _without_defaults(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value not in (None, "")}

    def __str__(self) -> str:
        """For people, in the place of the value."""
        return f"(secret {self.secret})"


VariableValue = str | SecretReference
Layer = Mapping[str, VariableValue]


def with_names(variables: Any) -> Any:
    """Plain data in which `{secret: true}` names the secret after its variable."""
    if not isinstance(variables, Mapping):
        return variables
    return {
        name: {**value, "secret": name} if isinstance(value, Mapping) and value.get("secret") is True else value
        for name, value in variables.items()
    }


Variables = Annotated[dict[str, VariableValue], BeforeValidator(with_names)]
"""A layer of variables. As plain data, a reference is `{"secret": NAME}` or `{"secret": true}`."""
_VARIABLES: TypeAdapter[dict[str, VariableValue]] = TypeAdapter(Variables)


def read_variables(data: Mapping[str, Any]) -> dict[str, VariableValue]:
    """Variables from plain data. Raises ValueError."""
    return _VARIABLES.validate_python(dict(data))


def plain_variables(variables: Layer) -> dict[str, Any]:
    """Variables as plain data."""
    plain: dict[str, Any] = _VARIABLES.dump_python(dict(variables), mode="json")
    return plain


def secrets_of(layers: Iterable[Layer]) -> dict[str, SecretReference]:
    """The variables whose value is a secret, once later layers have overridden earlier ones."""
    found: dict[str, SecretReference] = {}
    for layer in layers:
        for name, value in layer.items():
            if not isinstance(value, SecretReference):
                found.pop(name, None)
            elif value.in_env is None and name in found:
                found[name] = value.model_copy(update={"in_env": found[name].in_env})
            else:
                found[name] = value
    return found
