"""Takes a person's answer: checked against the open question, stored in the form the stage reads, and recorded."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import imagesize  # type: ignore[import-untyped]  # it has no types

from winslow_dagster.actions import Action
from winslow_dagster.errors import InputRejected, NotFound, ProjectConflict
from winslow_dagster.formatting import format_time
from winslow_dagster.globs import matches
from winslow_dagster.pipelines import CheckedAnswer, Form, Pipeline, check_answer
from winslow_dagster.pipelines.model.form import ConfirmField, ImageFieldBase
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.database.answers import Answers
from winslow_dagster.projects.database.lineage_queries import lineage_of, outputs_in_use
from winslow_dagster.projects.domain.answer import Answer
from winslow_dagster.projects.domain.lineage import Lineage
from winslow_dagster.projects.domain.questions import REVIEWED_OUTPUTS, Question
from winslow_dagster.projects.inputs.validation import check_answer_files
from winslow_dagster.storage.manifest import FileEntry, Manifest

IMAGE_HEAD_BYTES = 256 * 1024
"""Cameras write kilobytes of metadata in front of the size of a JPEG."""


class Answering:
    """The open questions of one pipeline in a project."""

    def __init__(self, context: Context, project: str, pipeline: Pipeline) -> None:
        self._context = context
        self._project = project
        self._pipeline = pipeline
        self._answers = Answers(context.records.database)

    def give(self, stage: str, values: Mapping[str, Any], files: Mapping[str, Path]) -> tuple[Answer, CheckedAnswer]:
        """Take the answer. If two people answer at once, the second gets a ProjectConflict that names the first.

        Raises NotFound, ProjectConflict if nothing is asked, AnswerRejected with every fault, StoreError.
        """
        lineage = self._lineage()
        question = self._question(lineage, stage)
        form = Form.model_validate({"message": question.message, "form": list(question.form)})
        self._refuse_secrets(form.variables, lineage, stage)
        checked = check_answer(form, values, files, image_sizes=self._image_sizes(form, question, lineage))
        check_answer_files(form, files)
        self._refuse_secrets((checked.redo or {}).get("settings", {}).get("env", ()), lineage, stage)
        manifest = self._stored(stage, checked)
        try:
            # Files may take minutes to be stored, so the lock is taken afterwards, and the question looked at again.
            with self._context.project_lock(self._project, "answering a question"):
                lineage = self._lineage()
                self._require_same(question, self._question(lineage, stage))
                answer = self._answers.add(
                    Answer(
                        project=self._project,
                        pipeline=lineage.pipeline.name,
                        stage=stage,
                        manifest=manifest,
                        given_by=self._context.actor.who,
                        form=list(question.form),
                        values=_with_confirmed_outputs(form, checked.values, lineage),
                        variables=checked.variables,
                        accepted=checked.accepted,
                    )
                )
        except BaseException:
            self._context.store.delete_tree(manifest.address)
            raise
        return answer, checked

    def image(self, stage: str, field: str) -> tuple[Manifest, FileEntry]:
        """The picture that the field of the stage's open question is drawn on. Raises NotFound, ProjectConflict."""
        lineage = self._lineage()
        question = self._question(lineage, stage)
        form = Form.model_validate({"message": question.message, "form": list(question.form)})
        images = {each.name: each for each in form.form if isinstance(each, ImageFieldBase)}
        if field not in images:
            raise NotFound(
                f"the question of {stage} has no field {field!r} with a picture",
                where=f"project {self._project}",
                expected=f"one of {', '.join(images)}" if images else "",
            )
        return self._image(images[field], question, lineage)

    def _require_same(self, answered: Question, current: Question) -> None:
        if answered != current:
            raise ProjectConflict(
                f"{current.stage} asks a different question by now",
                where=f"project {self._project}",
                remedy=Action("answer_question", {"project": self._project, "stage": current.stage}),
            )

    def _refuse_secrets(self, variables: Iterable[str], lineage: Lineage, stage: str) -> None:
        """Answers are stored and shown, so that none may set a secret."""
        if secrets := sorted(lineage.pipeline.secret_variables.intersection(variables)):
            raise InputRejected(
                f"an answer cannot set the secret {secrets[0]}",
                where=f"project {self._project}, question of {stage}",
                remedy=Action("set_secret", {"secret": secrets[0]}),
            )

    def _lineage(self) -> Lineage:
        return lineage_of(self._context.records, self._project, self._pipeline)

    def _question(self, lineage: Lineage, stage: str) -> Question:
        project = self._context.records.project(self._project)
        questions = self._context.status_reader.questions(project, lineage)
        question = next((each for each in questions if each.stage == stage), None)
        if question is not None:
            return question
        given = self._answers.of_project(self._project)
        earlier = [each for each in given if (each.pipeline, each.stage) == (self._pipeline.name, stage)]
        if earlier:
            last = earlier[-1]
            raise ProjectConflict(
                f"{stage} has no open question: {last.given_by} answered it at {format_time(last.given_at)}",
                where=f"project {self._project}",
            )
        others = ", ".join(each.stage for each in questions)
        raise ProjectConflict(
            f"{stage} has no open question",
            where=f"project {self._project}",
            expected=f"an answer to {others}" if others else "",
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

    def _image_sizes(self, form: Form, question: Question, lineage: Lineage) -> dict[str, tuple[int, int]]:
        """Width and height of the pictures, so that nothing is marked outside of them."""
        sizes = {}
        for field in (each for each in form.form if isinstance(each, ImageFieldBase)):
            manifest, entry = self._image(field, question, lineage)
            head = self._context.store.read_range(manifest, entry, 0, min(entry.size_bytes, IMAGE_HEAD_BYTES))
            width, height = imagesize.get(io.BytesIO(head))
            if width > 0 and height > 0:
                sizes[field.name] = (width, height)
        return sizes

    def _image(self, field: ImageFieldBase, question: Question, lineage: Lineage) -> tuple[Manifest, FileEntry]:
        """Of an earlier stage, or, if the field names none, of the attempt that asks."""
        records = self._context.records
        stage, glob = field.image_stage, field.image_glob
        if stage:
            manifest = outputs_in_use(records, lineage).get(stage)
        elif question.asked_by_attempt is not None:
            manifest = records.manifests([question.asked_by_attempt]).get(question.asked_by_attempt)
        else:
            manifest = None
        entries = [] if manifest is None else [entry for entry in manifest.files if matches(entry.path, glob)]
        if manifest is None or not entries:
            raise NotFound(
                f"the picture {glob} to mark is missing",
                where=f"project {self._project}, question of {question.stage}",
                remedy=f"Redo {stage or question.stage}, which makes it",
            )
        return manifest, min(entries, key=lambda entry: entry.path)


def _with_confirmed_outputs(form: Form, values: Mapping[str, Any], lineage: Lineage) -> dict[str, Any]:
    """The values, with the address of the outputs that each confirmation is about."""
    found = dict(values)
    for field in form.form:
        if isinstance(field, ConfirmField) and field.name in found:
            current = lineage.current.get(field.stage)
            found[field.name] = {**found[field.name], REVIEWED_OUTPUTS: current.output_address if current else None}
    return found
