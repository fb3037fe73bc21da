"""Stored secrets, and how a request becomes one that has none: references take the place of values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from winslow_dagster.errors import InputRejected
from winslow_dagster.pipelines import Layer, SecretReference, VariableValue, plain_variables, read_variables
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.launch_plan import LaunchPlanner
from winslow_dagster.projects.commands.launch_request import LaunchRequest
from winslow_dagster.storage.secrets import SecretStore, StoredSecret

NAME_DIGITS = 8
"""Digits of a value's digest in the name of a secret that a request brought."""


class SecretCommands:
    """The secrets of one installation. Values go in and never come out."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = SecretStore(context.settings.secrets_dir)

    def list(self) -> tuple[StoredSecret, ...]:
        """All secrets by name, without their values."""
        return self._store.secrets()

    def set(self, name: str, value: str) -> None:
        """Store a secret, or replace its value, for attempts that start from now on. Raises InputRejected."""
        self._context.actor.require("operator")
        self._store.set(name, value)
        self._context.audit("secret_set", name=name)

    def remove(self, name: str) -> None:
        """Delete a secret. Attempts that have started keep it. Raises NotFound."""
        self._context.actor.require("operator")
        self._store.remove(name)
        self._context.audit("secret_remove", name=name)


def given_variables(variables: Mapping[str, Any] | None) -> dict[str, VariableValue]:
    """Variables as a person gives them: texts, and references such as `{"secret": NAME}`. Raises InputRejected."""
    try:
        return read_variables(variables or {})
    except ValueError as error:
        raise InputRejected(
            "a variable is neither a text nor a reference to a secret",
            where="variables",
            expected='a text, or {"secret": NAME}',
        ) from error


def with_references(context: Context, request: LaunchRequest) -> LaunchRequest:
    """The request with references to secrets, after storing the values that it has for them.

    A value is stored under the name of the variable and its digest, so that no other secret is replaced.
    """
    overridden = {
        stage: given_variables(override["env"]) for stage, override in request.overrides.items() if "env" in override
    }
    layers = (request.project_env, request.run_env, *overridden.values())
    declared: frozenset[str] = frozenset()
    if any(isinstance(value, str) for layer in layers for value in layer.values()):
        planner = LaunchPlanner(context, request)
        pipeline, _ = planner.version(planner.existing_project())
        declared = pipeline.secret_variables

    def referring(layer: Layer) -> dict[str, VariableValue]:
        return {
            name: _stored(context, name, value) if isinstance(value, str) and name in declared else value
            for name, value in layer.items()
        }

    changed = {stage: {"env": plain_variables(referring(env))} for stage, env in overridden.items()}
    return replace(
        request,
        project_env=referring(request.project_env),
        run_env=referring(request.run_env),
        overrides={stage: {**override, **changed.get(stage, {})} for stage, override in request.overrides.items()},
    )


def without_secret_values(context: Context, request: LaunchRequest) -> LaunchRequest:
    """The request as it can be planned: without the values of secrets, which only a run stores."""
    planner = LaunchPlanner(context, request)
    pipeline, _ = planner.version(planner.existing_project())

    def plannable(override: Mapping[str, Any]) -> dict[str, Any]:
        env = given_variables(override.get("env"))
        kept = {
            name: value
            for name, value in env.items()
            if not (isinstance(value, str) and name in pipeline.secret_variables)
        }
        return {**override, "env": plain_variables(kept)} if "env" in override else dict(override)

    return replace(request, overrides={stage: plannable(override) for stage, override in request.overrides.items()})


def _stored(context: Context, variable: str, value: str) -> SecretReference:
    digest = SecretStore(context.settings.secrets_dir).digest(value)
    name = f"{variable}-{digest[:NAME_DIGITS]}"
    SecretCommands(context).set(name, value)
    return SecretReference(secret=name)
