"""The retention rules of an installation: for all projects, where no rule of the project or its pipeline applies.

They are in the retention file or, without one, in the tables, where administrators change them. Both are YAML of the
same form, and are checked alike.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from winslow_dagster.errors import ProjectConflict, RetentionRulesInvalid
from winslow_dagster.pipelines.config_file import load_config, parse_config
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.pipelines.model.pipeline import RetentionRule
from winslow_dagster.pipelines.schema.base import Document
from winslow_dagster.pipelines.schema.pipeline_fields import RetentionDocument
from winslow_dagster.pipelines.yaml.reader import Tree
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.database.stored_settings import StoredSetting, StoredSettings
from winslow_dagster.projects.domain.retention import HouseRulesView
from winslow_dagster.settings import Settings

NAME = "retention rules"


class HouseRulesDocument(Document):
    """The retention rules of the installation."""

    model = Frozen
    noun = "the file of retention rules"

    retention: list[RetentionDocument] = Field(description="Rules, the first that matches a file applies.")


class HouseRules:
    """The rules of one installation. Methods raise RetentionRulesInvalid with all problems, and ServiceUnavailable."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._stored = StoredSettings(database)
        self._file = settings.retention_file

    def rules(self) -> tuple[RetentionRule, ...]:
        """The rules in force."""
        if self._file.exists():
            return _rules(load_config(self._file, HouseRulesDocument, RetentionRulesInvalid, _nothing_else))
        return parse_rules(self._stored.get(NAME).text)

    def view(self) -> HouseRulesView:
        """The rules in force, as they are written. A file that cannot be used is shown with its fault."""
        rules: tuple[RetentionRule, ...] = ()
        fault = ""
        try:
            rules = self.rules()
        except RetentionRulesInvalid as error:
            fault = str(error)
        if self._file.exists():
            text = self._file.read_text(encoding="utf-8", errors="replace") if self._file.is_file() else ""
            return HouseRulesView(rules=rules, text=text, fault=fault, file=str(self._file), in_file=True)
        stored = self._stored.get(NAME)
        return HouseRulesView(
            rules=rules,
            text=stored.text,
            fault=fault,
            file=str(self._file),
            version=stored.version,
            changed_at=stored.changed_at,
            changed_by=stored.changed_by,
        )

    def save(self, text: str, *, version: int, by: str, at: datetime) -> HouseRulesView:
        """Replace the rules, of which the person has seen `version`. Raises ProjectConflict."""
        if self._file.exists():
            raise ProjectConflict(
                "the retention rules are in a file", where=str(self._file), remedy="Change the file, or move it away"
            )
        parse_rules(text)
        self._stored.save(StoredSetting(NAME, text, version + 1, at, by))
        return self.view()


def parse_rules(text: str) -> tuple[RetentionRule, ...]:
    """Rules as they are written in a file. Raises RetentionRulesInvalid."""
    content = text.replace("\r\n", "\n").encode("utf-8", "surrogatepass")
    return _rules(parse_config(content, NAME, HouseRulesDocument, RetentionRulesInvalid, _nothing_else))


def _rules(document: HouseRulesDocument | None) -> tuple[RetentionRule, ...]:
    return tuple(RetentionRule.model_validate(each.resolved()) for each in (document.retention if document else ()))


def _nothing_else(tree: Tree, document: HouseRulesDocument | None) -> None:
    """No check involves several rules."""
    del tree, document
