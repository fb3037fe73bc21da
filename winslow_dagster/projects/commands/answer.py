"""Taking a person's answer: checked against what is asked now, stored as the stage will read it, and noted."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import imagesize  # type: ignore[import-untyped]  # it has no types

from winslow_dagster.errors import NotFound, ProjectConflict
from winslow_dagster.globs import matches
from winslow_dagster.pipelines import CheckedAnswer, Form, check_answer
from winslow_dagster.pipelines.model.form import ConfirmField, ImageFieldBase
from winslow_dagster.projects.database.answers import Answer, Answers
from winslow_dagster.projects.database.lineage_queries import lineage_of, outputs_in_use
from winslow_dagster.projects.domain.lineage import Lineage
from winslow_dagster.projects.domain.questions import OF, Question
from winslow_dagster.projects.domain.run_request import require_stage
from winslow_dagster.projects.inputs.validation import check_answer_files
from winslow_dagster.storage.manifest import FileEntry, Manifest

if TYPE_CHECKING:
    from winslow_dagster.projects.commands.installation import Installation

IMAGE_HEAD_BYTES = 256 * 1024
"""Cameras put kilobytes of notes before the line that says how large a JPEG is."""


class Answering:
    """The questions of one project."""

    def __init__(self, actions: Installation, project: str) -> None:
        self._actions = actions
        self._project = project
        self._answers = Answers(actions.records.database)

    def give(self, stage: str, values: Mapping[str, Any], files: Mapping[str, Path]) -> tuple[Answer, CheckedAnswer]:
        """Take the answer. The second of two who answer at once is told of the first.

        Raises NotFound, ProjectConflict where nothing is asked, AnswerRejected with every fault, StoreError.
        """
        records = self._actions.records
        with records.project_lock(self._project):
            found = records.project(self._project)
            lineage = lineage_of(records, self._project, self._actions.pinned(found))
            require_stage(lineage.pipeline, stage)
            question = self._question(lineage, stage)
            form = Form.model_validate({"message": question.message, "form": list(question.form)})
            checked = check_answer(form, values, files, image_sizes=self._image_sizes(form, question, lineage))
            check_answer_files(form, files)
            said = dict(checked.values)
            for field in form.form:
                if isinstance(field, ConfirmField) and field.name in said:
                    looked_at = lineage.current.get(field.stage)
                    said[field.name] = {**said[field.name], OF: looked_at.output_address if looked_at else None}
            kept = self._answers.add(
                Answer(
                    project=self._project,
                    pipeline=lineage.pipeline.name,
                    stage=stage,
                    manifest=self._stored(stage, checked),
                    given_by=self._actions.actor.who,
                    form=list(question.form),
                    values=said,
                    variables=checked.variables,
                    accepted=checked.accepted,
                )
            )
        return kept, checked

    def _question(self, lineage: Lineage, stage: str) -> Question:
        found = self._actions.records.project(self._project)
        questions = self._actions.overview.questions(found, lineage)
        question = next((each for each in questions if each.stage == stage), None)
        if question is not None:
            return question
        given = [each for each in self._answers.of_project(self._project) if each.stage == stage]
        if given:
            last = given[-1]
            raise ProjectConflict(
                f"{stage} asks nothing now: {last.given_by} answered it at {last.given_at:%H:%M:%S} UTC",
                where=f"project {self._project}",
            )
        others = ", ".join(each.stage for each in questions)
        raise ProjectConflict(
            f"{stage} asks nothing now",
            where=f"project {self._project}",
            expected=f"an answer to {others}" if others else "",
        )

    def _stored(self, stage: str, checked: CheckedAnswer) -> Manifest:
        """The answer's files in the store. A fresh tree is made of them, since what is committed may be moved."""
        tree = self._actions.settings.home / "incoming" / uuid4().hex
        try:
            for name, content in checked.documents.items():
                path = tree / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            for name, source in checked.files.items():
                path = tree / name
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, path)
            address = f"projects/{self._project}/answers/{stage}/{tree.name}"
            return self._actions.store.commit_tree(tree, address)
        finally:
            shutil.rmtree(tree, ignore_errors=True)

    def _image_sizes(self, form: Form, question: Question, lineage: Lineage) -> dict[str, tuple[int, int]]:
        """Width and height of the images that are marked on, so that nothing is marked beside them."""
        images = [field for field in form.form if isinstance(field, ImageFieldBase)]
        sizes = {}
        for field in images:
            manifest, entry = self.image(field.image_stage, field.image_glob, question, lineage)
            head = self._actions.store.read_range(manifest, entry, 0, min(entry.size_bytes, IMAGE_HEAD_BYTES))
            width, height = imagesize.get(io.BytesIO(head))
            if width > 0 and height > 0:
                sizes[field.name] = (width, height)
        return sizes

    def image(self, stage: str, glob: str, question: Question, lineage: Lineage) -> tuple[Manifest, FileEntry]:
        """The image of a field: of an earlier stage, or (`stage` empty) of the attempt that asks. Raises NotFound."""
        records = self._actions.records
        if stage:
            manifest = outputs_in_use(records, lineage).get(stage)
        elif question.asked_by_attempt is not None:
            manifest = records.manifests([question.asked_by_attempt]).get(question.asked_by_attempt)
        else:
            manifest = None
        entries = [] if manifest is None else [entry for entry in manifest.files if matches(entry.path, glob)]
        if manifest is None or not entries:
            raise NotFound(
                f"the image {glob} that is to be marked is not there",
                where=f"project {self._project}, question of {question.stage}",
                remedy=f"Redo {stage or question.stage}, which makes it",
            )
        return manifest, min(entries, key=lambda entry: entry.path)
