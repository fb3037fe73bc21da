"""The variables that administrators give to pipelines: a YAML document, checked as a pipeline file is."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Annotated

from pydantic import Field

from winslow_dagster.errors import VariablesInvalid
from winslow_dagster.pipelines import Layer
from winslow_dagster.pipelines.config_file import parse_config
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.pipelines.problems import shown
from winslow_dagster.pipelines.schema.base import Document
from winslow_dagster.pipelines.schema.field_types import Environment, Glob, Name, Written
from winslow_dagster.pipelines.schema.value_parsers import one_or_list
from winslow_dagster.pipelines.yaml.reader import Tree
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.database.stored_settings import StoredSetting, StoredSettings
from winslow_dagster.projects.domain.global_variables import GlobalVariables, GlobalVariablesView, VariableGroup

NAME = "global variables"


class VariableGroupDocument(Document):
    """Variables for some pipelines."""

    model = VariableGroup
    noun = "a group of variables"

    name: Name = Field(description="Name of the group.")
    pipelines: Annotated[list[Glob], Field(min_length=1), Written(one_or_list)] = Field(
        description="Patterns of names of pipelines."
    )
    env: Environment = Field(description="Variables; they override those for all pipelines.")


class GlobalVariablesDocument(Document):
    """Variables of an installation."""

    model = Frozen
    noun = "the global variables"

    env: Environment | None = Field(default=None, description="Variables for all pipelines.")
    groups: list[VariableGroupDocument] | None = Field(
        default=None, description="Variables for some pipelines; later groups override earlier ones."
    )


class StoredVariables:
    """The variables of one installation. Methods raise VariablesInvalid with all problems, and ServiceUnavailable."""

    def __init__(self, database: Database) -> None:
        self._stored = StoredSettings(database)

    def of(self, pipeline: str) -> Layer:
        """The variables that the stages of a pipeline get, below those of the pipeline itself."""
        return parse_variables(self._stored.get(NAME).text).of(pipeline)

    def view(self) -> GlobalVariablesView:
        """The variables as they are written. What cannot be used is shown with its fault."""
        stored = self._stored.get(NAME)
        variables, fault = GlobalVariables(), ""
        try:
            variables = parse_variables(stored.text)
        except VariablesInvalid as error:
            fault = str(error)
        return GlobalVariablesView(
            variables=variables,
            text=stored.text,
            fault=fault,
            version=stored.version,
            changed_at=stored.changed_at,
            changed_by=stored.changed_by,
        )

    def save(self, text: str, *, version: int, by: str, at: datetime) -> GlobalVariablesView:
        """Replace the variables, of which the person has seen `version`. Raises ProjectConflict."""
        parse_variables(text)
        self._stored.save(StoredSetting(NAME, text, version + 1, at, by))
        return self.view()


@lru_cache(maxsize=16)
def parse_variables(text: str) -> GlobalVariables:
    """Variables as they are written. Raises VariablesInvalid."""
    content = text.replace("\r\n", "\n").encode("utf-8", "surrogatepass")
    document = parse_config(content, NAME, GlobalVariablesDocument, VariablesInvalid, _check_whole)
    return GlobalVariables() if document is None else GlobalVariables.model_validate(document.resolved())


def _check_whole(tree: Tree, document: GlobalVariablesDocument | None) -> None:
    """Check that names are unique."""
    names: set[str] = set()
    for index, group in enumerate((document.groups if document else None) or ()):
        if group.name in names:
            tree.note(tree.mark(("groups", index, "name")), f"duplicate group name {shown(group.name)}", "another name")
        names.add(group.name)
