"""Takes a person's answer: checked against the question, stored in the form the stage reads, and recorded."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from winslow_dagster.actions import Action
from winslow_dagster.errors import InputRejected, ProjectConflict
from winslow_dagster.pipelines import CheckedAnswer, Form, Pipeline, check_answer
from winslow_dagster.pipelines.model.form import ConfirmField
from winslow_dagster.projects.commands.asked_question import AskedQuestion, asked_question, not_open
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.database.answers import Answers
from winslow_dagster.projects.database.drafts import Drafts
from winslow_dagster.projects.domain.answer import Answer
from winslow_dagster.projects.domain.lineage import Lineage
from winslow_dagster.projects.domain.questions import REVIEWED_OUTPUTS
from winslow_dagster.projects.inputs.validation import check_answer_files
from winslow_dagster.storage.manifest import Manifest


class Answering:
    """The questions of one pipeline in a project. `replaces` is the version of the answer that is given again."""

    def __init__(self, context: Context, project: str, pipeline: Pipeline, *, replaces: int | None = None) -> None:
        self._context = context
        self._project = project
        self._pipeline = pipeline
        self._replaces = replaces
        self._answers = Answers(context.records.database)

    def give(self, stage: str, values: Mapping[str, Any], files: Mapping[str, Path]) -> tuple[Answer, CheckedAnswer]:
        """Take the answer. If two people answer at once, the second gets a ProjectConflict that names the first.

        Raises NotFound, ProjectConflict if nothing is asked, AnswerRejected with every fault, StoreError.
        """
        asked = self._asked(stage)
        form, lineage = asked.form, asked.lineage
        self._refuse_secrets(form.variables, lineage, stage)
        checked = check_answer(form, values, files, image_sizes=asked.image_sizes())
        check_answer_files(form, files)
        self._refuse_secrets((checked.redo or {}).get("settings", {}).get("env", ()), lineage, stage)
        manifest = self._stored(stage, checked)
        try:
            # Files may take minutes to be stored, so the lock is taken afterwards, and the question looked at again.
            with self._context.project_lock(self._project, "answering a question"):
                current = self._asked(stage)
                self._require_same(asked, current)
                answer = self._answers.add(
                    Answer(
                        project=self._project,
                        pipeline=current.lineage.pipeline.name,
                        stage=stage,
                        manifest=manifest,
                        given_by=self._context.actor.who,
                        form=list(asked.question.form),
                        values=_with_confirmed_outputs(form, checked.values, current.lineage),
                        variables=checked.variables,
                        accepted=checked.accepted,
                    )
                )
        except BaseException:
            self._context.store.delete_tree(manifest.address)
            raise
        # Those of others stay: who was second can still read what they have entered.
        Drafts(self._context.records.database).remove(asked.key, self._context.actor.who)
        return answer, checked

    def _asked(self, stage: str) -> AskedQuestion:
        asked = asked_question(self._context, self._project, self._pipeline, stage)
        if not asked.is_open and (asked.previous is None or asked.previous.version != self._replaces):
            raise not_open(asked)
        return asked

    def _require_same(self, answered: AskedQuestion, current: AskedQuestion) -> None:
        if answered.question != current.question:
            stage = current.question.stage
            raise ProjectConflict(
                f"{stage} asks a different question by now",
                where=f"project {self._project}",
                remedy=Action("answer_question", {"project": self._project, "stage": stage}),
            )

    def _refuse_secrets(self, variables: Iterable[str], lineage: Lineage, stage: str) -> None:
        """Answers are stored and shown, so that none may set a secret."""
        if secrets := sorted(lineage.pipeline.secret_variables.intersection(variables)):
            raise InputRejected(
                f"an answer cannot set the secret {secrets[0]}",
                where=f"project {self._project}, question of {stage}",
                remedy=Action("set_secret", {"secret": secrets[0]}),
            )

    def _stored(self, stage: str, checked: CheckedAnswer) -> Manifest:
        """The answer's files in the store. A new tree is made of them, since what is committed may be moved."""
        tree = self._context.settings.home / "incoming" / uuid4().hex
        try:
            for name, content in checked.documents.items():
                path = tree / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            for name, source in checked.files.items():
                path = tree / name
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, path)
            return self._context.store.commit_tree(tree, f"projects/{self._project}/answers/{stage}/{tree.name}")
        finally:
            shutil.rmtree(tree, ignore_errors=True)


def _with_confirmed_outputs(form: Form, values: Mapping[str, Any], lineage: Lineage) -> dict[str, Any]:
    """The values, with the address of the outputs that each confirmation is about."""
    found = dict(values)
    for field in form.form:
        if isinstance(field, ConfirmField) and field.name in found:
            current = lineage.current.get(field.stage)
            found[field.name] = {**found[field.name], REVIEWED_OUTPUTS: current.output_address if current else None}
    return found
