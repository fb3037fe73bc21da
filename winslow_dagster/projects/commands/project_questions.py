"""The questions of one project: what is asked, what people have entered so far, and what is to be said about that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from io import BufferedReader
from typing import Any

from winslow_dagster.errors import InputRejected
from winslow_dagster.pipelines import AnswerJudgement, Pipeline, judge_answer
from winslow_dagster.pipelines.forms.example import example_answer
from winslow_dagster.projects.commands.acts import act
from winslow_dagster.projects.commands.asked_question import AskedQuestion, asked_question
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.files import open_file
from winslow_dagster.projects.database.drafts import Drafts
from winslow_dagster.projects.domain.answer import Answer
from winslow_dagster.projects.domain.views import Draft, GivenAnswer, ProjectFile, QuestionDetails, QuestionView

LONGEST_DRAFT = 4 << 20
"""In bytes of JSON; ten thousand points need less."""


class ProjectQuestions:
    """The questions of one project. A question is open, or somebody has answered it and may do so again."""

    def __init__(self, context: Context, name: str) -> None:
        self._context = context
        self.name = name

    @property
    def context(self) -> Context:
        """What it works with, and for whom."""
        return self._context

    def questions(self) -> tuple[QuestionView, ...]:
        """The questions that a person has to answer before the project can continue, in any of its pipelines."""
        status = self._context.status(self.name)
        return (*status.questions, *(question for each in status.other_pipelines for question in each.questions))

    def question(self, stage: str, *, pipeline: str | None = None) -> QuestionDetails:
        """The stage's open question, or the one that was answered last, with what people have entered.

        Raises NotFound, ProjectConflict if the stage has asked nothing.
        """
        asked = self._asked(stage, pipeline)
        question = {name: value for name, value in asdict(asked.question).items() if name != "project"}
        return QuestionDetails(
            question=QuestionView(**question),
            is_open=asked.is_open,
            previous=None if asked.previous is None else _given(asked.previous),
            outdated=asked.outdated,
            drafts=self._drafts.of_question(asked.key),
        )

    def question_image(self, stage: str, field: str, *, pipeline: str | None = None) -> ProjectFile:
        """The picture that a field of the stage's question is drawn on. Raises NotFound, ProjectConflict."""
        return self._asked(stage, pipeline).file_of(field)

    def question_films(self, stage: str, *, pipeline: str | None = None) -> dict[str, tuple[str, str | None]]:
        """By field, where the video lies of which a frame is marked, as `frame` takes it, and the attempt if one."""
        return self._asked(stage, pipeline).films()

    def open_question_image(self, stage: str, field: str, *, pipeline: str | None = None) -> tuple[str, BufferedReader]:
        """Name and content of the picture that a field of the stage's question is drawn on."""
        file = self.question_image(stage, field, pipeline=pipeline)
        return file.path, open_file(self._context.store, file)

    def proposals(self, stage: str, *, pipeline: str | None = None) -> dict[str, list[dict[str, Any]]]:
        """The points, by field, that a stage proposes for the stage's question."""
        asked = self._asked(stage, pipeline)
        return asked.proposals(asked.image_sizes())

    def example_answer(self, stage: str, *, pipeline: str | None = None) -> dict[str, Any]:
        """A made-up answer to the stage's question, to show how one is written. Files are left out."""
        asked = self._asked(stage, pipeline)
        return example_answer(asked.form, asked.image_sizes())

    def judge_answer(self, stage: str, values: Mapping[str, Any], *, pipeline: str | None = None) -> AnswerJudgement:
        """What is invalid, and what is implausible, of an answer before it is given. Nothing is kept."""
        asked = self._asked(stage, pipeline)
        return judge_answer(asked.form, values, asked.image_sizes())

    @act
    def save_draft(
        self, stage: str, values: Mapping[str, Any], *, after: int = 0, pipeline: str | None = None
    ) -> Draft:
        """Keep what was entered for the stage's question, for the person who acts. It need not be valid yet.

        `after` is the version of the draft from which the values were made. Raises ProjectConflict if the same person
        has saved another since, InputRejected for a draft that is too large.
        """
        size_bytes = len(json.dumps(dict(values), ensure_ascii=False).encode(errors="surrogatepass"))
        if size_bytes > LONGEST_DRAFT:
            raise InputRejected("the draft is too large", expected=f"at most {LONGEST_DRAFT} bytes of JSON")
        context = self._context
        key = self._asked(stage, pipeline).key
        return self._drafts.save(key, context.actor.who, dict(values), context.clock(), after=after)

    @act
    def remove_draft(self, stage: str, *, pipeline: str | None = None) -> None:
        """Forget what the person who acts has entered for the stage's question."""
        self._drafts.remove(self._asked(stage, pipeline).key, self._context.actor.who)

    def pipeline(self, name: str | None = None) -> Pipeline:
        """The version of the pipeline that the project uses, or of another one that it ran through. Raises NotFound."""
        return self._context.pipeline_of(self.name, name)

    def _pipeline_with(self, stage: str, pipeline: str | None) -> Pipeline:
        return self._context.pipeline_with(self.name, stage, pipeline)

    def _asked(self, stage: str, pipeline: str | None) -> AskedQuestion:
        return asked_question(self._context, self.name, self._pipeline_with(stage, pipeline), stage)

    @property
    def _drafts(self) -> Drafts:
        return Drafts(self._context.records.database)


def _given(answer: Answer) -> GivenAnswer:
    return GivenAnswer(
        version=answer.version,
        given_by=answer.given_by,
        given_at=answer.given_at,
        accepted=answer.accepted,
        values=answer.values,
    )
