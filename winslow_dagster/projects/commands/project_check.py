"""Checks what a person enters for a new project, field by field, while they type. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from winslow_dagster.errors import InputRejected, NotFound, PipelineInvalid, ProjectConflict, WinslowError
from winslow_dagster.pipelines import Pipeline, SecretReference, VariableValue
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.footage_checks import FootageCheckCommands
from winslow_dagster.projects.commands.secrets import given_variables
from winslow_dagster.projects.database.annotations import checked_notes, checked_tags
from winslow_dagster.projects.database.global_variables import StoredVariables
from winslow_dagster.projects.domain.model import checked_name
from winslow_dagster.projects.domain.pool import PooledFile
from winslow_dagster.projects.domain.run_request import KnownFiles, RunRequest, check_variables
from winslow_dagster.projects.inputs.input_storage import InputStorage
from winslow_dagster.projects.inputs.permitted_paths import require_permitted
from winslow_dagster.projects.inputs.resource_pool import GivenInput, Pool, Source, sources
from winslow_dagster.projects.inputs.uploads import InputStream
from winslow_dagster.projects.inputs.validation import check_names
from winslow_dagster.storage.secrets import SecretStore, require_value


@dataclass(frozen=True, slots=True, kw_only=True)
class NewProject:
    """What a person enters for a new project. The fields are those of `Installation.create` and `run`."""

    pipeline: str
    project: str
    inputs: Mapping[str, GivenInput] = field(default_factory=dict)
    env: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    notes: str = ""


@dataclass(frozen=True, slots=True)
class ProjectFault:
    """What is wrong with one field: `pipeline`, `project`, `inputs.NAME`, `env.NAME`, `tags` or `notes`.

    The field is empty for what is not one field's fault. `blocking`: the project cannot be created, not only not run.
    `warning`: it can be created and run all the same.
    """

    field: str
    message: str
    blocking: bool = True
    warning: bool = False


def faults_of(context: Context, new: NewProject) -> tuple[ProjectFault, ...]:
    """Everything that is wrong, in the order of the fields; nothing if the project can be created and run."""
    return tuple(_faults(context, new))


def _faults(context: Context, new: NewProject) -> Iterator[ProjectFault]:
    try:
        checked_name(new.project)
        if context.records.find_project(new.project) is not None:
            raise ProjectConflict(f"there is a project {new.project!r} already")
    except WinslowError as error:
        yield ProjectFault("project", message_of(error) if new.project else "Choose a name")
    for name, check in (("tags", lambda: checked_tags(new.tags)), ("notes", lambda: checked_notes(new.notes))):
        yield from _of_check(name, check)
    try:
        pipeline = context.pipeline(new.pipeline).pipeline
    except (NotFound, PipelineInvalid) as error:
        yield ProjectFault("pipeline", message_of(error))
        return
    found, faults = _inputs(context, pipeline, new.inputs)
    yield from faults
    yield from _variables(context, pipeline, new, found)


def _inputs(
    context: Context, pipeline: Pipeline, inputs: Mapping[str, GivenInput]
) -> tuple[dict[str, Source], list[ProjectFault]]:
    """The inputs that can be used, and what is wrong with the others."""
    pool = Pool(context.records.database, context.store)
    found: dict[str, Source] = {}
    faults: list[ProjectFault] = []
    for name, given in inputs.items():
        try:
            check_names(pipeline, [name], pipeline.inputs)
            source = sources(pool, {name: given})
            require_permitted(context.actor, context.settings, source)
            InputStorage(context.records, context.store, context.settings.home, source).check(pipeline, pipeline.inputs)
            found |= source
            if damage := FootageCheckCommands(context).damage(source[name]):
                faults.append(ProjectFault(f"inputs.{name}", damage, blocking=False, warning=True))
        except WinslowError as error:
            faults.append(ProjectFault(f"inputs.{name}", message_of(error)))
    needed = "The pipeline needs this input to run"
    faults += [ProjectFault(f"inputs.{name}", needed, blocking=False) for name in pipeline.missing_inputs(inputs)]
    return found, faults


def _variables(
    context: Context, pipeline: Pipeline, new: NewProject, inputs: Mapping[str, Source]
) -> Iterator[ProjectFault]:
    """Whether every variable that the stages use has a value, and every secret is known."""
    secrets = SecretStore(context.settings.secrets_dir)
    stored = {each.name for each in secrets.secrets()}
    declared = {
        name: value
        for layer in (pipeline.env, *(stage.env for stage in pipeline.stages))
        for name, value in layer.items()
        if isinstance(value, SecretReference)
    }
    try:
        env = given_variables(new.env)
    except InputRejected as error:
        yield ProjectFault("env", message_of(error))
        return
    for name, reference in declared.items():
        given = env.get(name, reference)
        if isinstance(given, SecretReference) and given.secret not in stored:
            yield ProjectFault(f"env.{name}", f"No secret {given.secret} is stored: enter its value", blocking=False)
        elif isinstance(given, str):
            yield from _of_check(f"env.{name}", partial(require_value, name, given))
    typed: dict[str, VariableValue] = {
        name: SecretReference(secret=declared[name].secret) if name in declared and isinstance(value, str) else value
        for name, value in env.items()
    }
    names = {name: _file_name(source) for name, source in inputs.items()}
    for name in pipeline.inputs:
        names.setdefault(name, name)  # that it is missing has been said
    known = KnownFiles(names, global_env=StoredVariables(context.records.database).of(pipeline.name))
    for stage in pipeline.stages:
        # The variables of a stage that needs input may come with the answer.
        if stage.needs_input is None:
            request = RunRequest(project=new.project or "new")
            try:
                check_variables(pipeline, [stage.name], request, typed, known)
            except WinslowError as error:
                yield ProjectFault("env", str(error), blocking=False)


def _of_check(name: str, check: Any) -> Iterator[ProjectFault]:
    try:
        check()
    except WinslowError as error:
        yield ProjectFault(name, message_of(error))


def _file_name(source: Source) -> str:
    if isinstance(source, InputStream | PooledFile):
        return source.file_name
    return source.name


def message_of(error: WinslowError) -> str:
    """The error without its place, for where that is seen anyway: at a field."""
    text = error.what[:1].upper() + error.what[1:]
    if error.expected:
        text += f"; expected {error.expected}"
    return text if error.action is not None or not error.remedy else f"{text}. {error.remedy}"
