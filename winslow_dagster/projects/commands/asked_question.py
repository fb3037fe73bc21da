"""Finds what a stage asks, or has asked: the question, its pictures, proposals for it, and what an answer changes."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import imagesize  # type: ignore[import-untyped]  # it has no types

from winslow_dagster.errors import NotFound, ProjectConflict
from winslow_dagster.formatting import format_time
from winslow_dagster.globs import matches
from winslow_dagster.json_text import JsonMalformed, parse_json
from winslow_dagster.pipelines import Form, Pipeline
from winslow_dagster.pipelines.forms.answer_values import Refused
from winslow_dagster.pipelines.forms.points_file import marks_from
from winslow_dagster.pipelines.model.form import INPUT, OWN_OUTPUT, ImageFieldBase, PointsField
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.files import files_of, input_file, open_file, source_of
from winslow_dagster.projects.database.answers import Answers
from winslow_dagster.projects.database.drafts import DraftKey
from winslow_dagster.projects.database.lineage_queries import lineage_of, outputs_in_use
from winslow_dagster.projects.domain.answer import Answer
from winslow_dagster.projects.domain.lineage import Lineage, goes_out_of_date
from winslow_dagster.projects.domain.questions import Question, default_message, form_of
from winslow_dagster.projects.domain.views import ProjectFile
from winslow_dagster.storage.manifest import FileEntry, Manifest

IMAGE_HEAD_BYTES = 256 * 1024
"""Cameras write kilobytes of metadata in front of the size of a JPEG."""
MOST_PROPOSALS_BYTES = 1 << 20


@dataclass(frozen=True)
class AskedQuestion:
    """A question of a stage. `previous` is the latest answer to a question of the stage, and `is_open` says whether
    the question waits for one.
    """

    context: Context
    question: Question
    lineage: Lineage
    is_open: bool
    previous: Answer | None

    @cached_property
    def form(self) -> Form:
        """Its form."""
        return Form.model_validate({"message": self.question.message, "form": list(self.question.form)})

    @property
    def key(self) -> DraftKey:
        """What drafts are kept for."""
        question = self.question
        digest = sha256(json.dumps(question.form, sort_keys=True).encode()).hexdigest()
        return DraftKey(question.project, question.pipeline, question.stage, digest)

    @property
    def outdated(self) -> tuple[str, ...]:
        """The stages with outputs that another answer makes out of date."""
        stage, lineage = self.question.stage, self.lineage
        own = (stage,) if stage in lineage.current and stage not in lineage.outdated else ()
        return (*own, *goes_out_of_date(lineage, stage))

    def file_of(self, field: str) -> ProjectFile:
        """The picture or the video that the field is drawn on. Raises NotFound."""
        shown = {each.name: each for each in self._shown}
        if field not in shown:
            raise NotFound(
                f"the question of {self.question.stage} has no field {field!r} with a picture",
                where=f"project {self.question.project}",
                expected=f"one of {', '.join(shown)}" if shown else "",
            )
        return self._file(shown[field])

    def films(self) -> dict[str, tuple[str, str | None]]:
        """By field, where its video lies (`STAGE/PATH` or `input:NAME`), and the attempt if it matters."""
        found = {}
        for field in (each for each in self._shown if each.video):
            own = field.shown.startswith(OWN_OUTPUT)
            place = field.shown if field.shown.startswith(INPUT) else f"{{}}/{self._file(field).path}"
            stage = self.question.stage if own else field.image_stage
            found[field.name] = (place.format(stage), self.question.asked_by_attempt if own else None)
        return found

    def image_sizes(self) -> dict[str, tuple[int, int]]:
        """Width and height of what is shown, by field, so that nothing is marked outside of it. Raises NotFound."""
        store, sizes = self.context.store, {}
        for field in self._shown:
            file = self._file(field)
            if field.video:
                footage = self.context.resources.footage.footage(source_of(store, file))
                sizes[field.name] = (footage.width, footage.height)
                continue
            with open_file(store, file) as opened:
                width, height = imagesize.get(io.BytesIO(opened.read(IMAGE_HEAD_BYTES)))
            if width > 0 and height > 0:
                sizes[field.name] = (width, height)
        return sizes

    def proposals(self, sizes: Mapping[str, tuple[int, int]]) -> dict[str, list[dict[str, Any]]]:
        """The points by field that a stage proposes. A file that cannot be read proposes none: it is only a help."""
        found = {}
        for field in self.form.form:
            if not isinstance(field, PointsField) or field.propose is None:
                continue
            file = self._output(field.propose)
            if file is None or file[1].size_bytes > MOST_PROPOSALS_BYTES:
                continue
            content = self.context.store.read_range(*file, 0, file[1].size_bytes)
            try:
                points = marks_from(field, parse_json(content), sizes.get(field.name))
            except (JsonMalformed, Refused):
                continue
            if isinstance(points, list):
                found[field.name] = [each for each in points if isinstance(each, dict)]
        return found

    @property
    def _shown(self) -> tuple[ImageFieldBase, ...]:
        return tuple(each for each in self.form.form if isinstance(each, ImageFieldBase))

    def _file(self, field: ImageFieldBase) -> ProjectFile:
        project, stage = self.question.project, self.question.stage
        if field.shown.startswith(INPUT):
            return input_file(self.context, project, field.shown.removeprefix(INPUT), "")
        found = self._output(field.shown)
        if found is None:
            raise NotFound(
                f"the {'video' if field.video else 'picture'} {field.image_glob} to mark is missing",
                where=f"project {project}, question of {stage}",
                remedy=f"Redo {field.image_stage or stage}, which makes it",
            )
        manifest, entry = found
        one = {stage: manifest.model_copy(update={"files": (entry,)})}
        (file,) = files_of(self.context.store, self.question.pipeline, one, [stage])
        return file

    def _output(self, reference: str) -> tuple[Manifest, FileEntry] | None:
        """A file of an earlier stage, or, if the reference names none, of the attempt that asks."""
        stage, _, glob = reference.partition("/")
        records, attempt = self.context.records, self.question.asked_by_attempt
        if not reference.startswith(OWN_OUTPUT):
            manifest = outputs_in_use(records, self.lineage).get(stage)
        else:
            manifest = None if attempt is None else records.manifests([attempt]).get(attempt)
        entries = [] if manifest is None else [entry for entry in manifest.files if matches(entry.path, glob)]
        return None if manifest is None or not entries else (manifest, min(entries, key=lambda entry: entry.path))


def asked_question(context: Context, project: str, pipeline: Pipeline, stage: str) -> AskedQuestion:
    """The open question of the stage, or else the one that was answered last. Raises ProjectConflict."""
    lineage = lineage_of(context.records, project, pipeline)
    given = Answers(context.records.database).of_project(project)
    earlier = [each for each in given if (each.pipeline, each.stage) == (pipeline.name, stage)]
    previous = earlier[-1] if earlier else None
    questions = context.status_reader.questions(context.records.project(project), lineage)
    question = next((each for each in questions if each.stage == stage), None)
    if question is not None:
        return AskedQuestion(context, question, lineage, is_open=True, previous=previous)
    if previous is not None:
        return AskedQuestion(context, _answered(previous, lineage), lineage, is_open=False, previous=previous)
    others = ", ".join(each.stage for each in questions)
    raise ProjectConflict(
        f"{stage} has no open question",
        where=f"project {project}",
        expected=f"an answer to {others}" if others else "",
    )


def not_open(asked: AskedQuestion) -> ProjectConflict:
    """The error for an answer to a question that somebody has answered."""
    stage, last = asked.question.stage, asked.previous
    by = f": {last.given_by} answered it at {format_time(last.given_at)}" if last else ""
    return ProjectConflict(f"{stage} has no open question{by}", where=f"project {asked.question.project}")


def _answered(answer: Answer, lineage: Lineage) -> Question:
    """The question as it was asked. What an attempt asked about its own outputs is still there."""
    stage = lineage.pipeline.stage(answer.stage)
    asking = [
        each
        for each in lineage.attempts_outside_sweeps
        if each.stage == stage.name and each.outcome == "awaiting_input"
    ]
    rule = stage.needs_input
    by_rule = rule is not None and rule.when != "asked" and list(form_of(rule)) == answer.form
    if by_rule and rule is not None:
        return Question(
            answer.project, answer.pipeline, stage.name, rule.message or default_message(stage, rule), form_of(rule)
        )
    last = asking[-1] if asking else None
    return Question(
        answer.project,
        answer.pipeline,
        stage.name,
        last.message if last else "",
        tuple(answer.form),
        last.task_id if last else None,
    )
