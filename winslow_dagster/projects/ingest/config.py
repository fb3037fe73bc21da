"""The file that says which places are watched, and what becomes of what lands there (WINSLOW_WATCH_FILE)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from winslow_dagster.errors import InputRejected, NotFound, PipelineInvalid, WatchFileInvalid
from winslow_dagster.pipelines import Pipeline, nearest
from winslow_dagster.pipelines.loader import read_content
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.pipelines.patterns import group_names
from winslow_dagster.pipelines.problems import shown
from winslow_dagster.pipelines.schema.base import Document
from winslow_dagster.pipelines.schema.field_types import Name, Pattern, TemplateText, VariableName, Wait, Written
from winslow_dagster.pipelines.schema.validation_messages import findings
from winslow_dagster.pipelines.schema.value_parsers import one_or_list, refusal, text_of
from winslow_dagster.pipelines.yaml.reader import Tree, read_tree
from winslow_dagster.projects.ingest.naming import FIELDS, template_fields

S3 = "s3://"
MOST_AT_ONCE = 1000
NOTHING_SAID = re.compile(rb"(\s*(#[^\n]*)?(\n|\Z))*")


class Watch(Frozen):
    """One watched place. `input` None: the pipeline's only required video."""

    name: str
    place: str
    pipeline: str
    input: str | None = None
    glob: tuple[str, ...] = ("*",)
    match: str | None = None
    project: str = "{stem}"
    env: dict[str, str] = Field(default_factory=dict)
    tags: tuple[str, ...] = ()
    settle_s: float = 10.0
    at_once: int = 20
    start: bool = True
    set_aside_dir: Path | None = None

    @property
    def on_s3(self) -> bool:
        """Whether it is a prefix of a bucket."""
        return self.place.startswith(S3)

    def input_of(self, pipeline: Pipeline) -> str:
        """Which input of the pipeline a file becomes. Raises NotFound, and InputRejected where it is not clear."""
        where = f"watch {self.name}"
        if self.input is not None:
            if self.input not in pipeline.inputs:
                meant = nearest(self.input, pipeline.inputs)
                raise NotFound(
                    f"the pipeline {pipeline.name} takes no input {self.input!r}",
                    where=where,
                    expected=f"one of {', '.join(pipeline.inputs)}" if pipeline.inputs else "",
                    remedy=f"Did you mean {meant}?" if meant else "",
                )
            if pipeline.inputs[self.input].kind == "directory":
                raise InputRejected(f"the input {self.input} is a directory; files land one by one", where=where)
            return self.input
        videos = [name for name, asked in pipeline.inputs.items() if asked.required and asked.kind == "video"]
        if len(videos) != 1:
            raise InputRejected(
                f"the pipeline {pipeline.name} asks for {len(videos) or 'no'} video{'' if len(videos) == 1 else 's'}",
                where=where,
                remedy="Say with `input:` what a file becomes",
            )
        return videos[0]


def read_place(value: Any) -> str:
    """An absolute directory, or an S3 prefix."""
    text = text_of(value, "a directory, or s3://bucket/prefix")
    bucket = text.removeprefix(S3).split("/")[0]
    if not (bucket if text.startswith(S3) else Path(text).is_absolute()):
        raise refusal(f"{shown(text)} is no place", "an absolute directory, or s3://bucket/prefix")
    return text


def read_glob(value: Any) -> str:
    """A pattern of paths below the place."""
    text = text_of(value, "a pattern of file names")
    if not text or text.startswith("/") or ".." in text.split("/"):
        raise refusal(f"{shown(text)} is not below the place", "a name or path below it, in which * and ** may stand")
    return text


def read_directory(value: Any) -> str:
    """An absolute directory."""
    text = text_of(value, "an absolute directory")
    if not Path(text).is_absolute():
        raise refusal(f"{shown(text)} is not absolute", "an absolute directory")
    return text


def read_name_template(value: Any) -> str:
    """A text with `{fields}`."""
    text = text_of(value, "a text with {stem}, {parent} or {date}")
    try:
        template_fields(text)
    except ValueError as error:
        raise refusal(f"{shown(text)} cannot be read: {error}", "fields such as {stem}; {{ stands for {") from error
    return text


class WatchDocument(Document):
    """One watched place."""

    becomes = Watch
    called = "a watch"

    name: Name = Field(description="Names it in listings.")
    place: Annotated[str, Written(read_place)] = Field(
        description="The directory (an absolute path) or S3 prefix (s3://bucket/prefix) where files land."
    )
    pipeline: Name = Field(description="The pipeline that is run.")
    input: Name | None = Field(default=None, description="Which input of the pipeline a file becomes.")
    glob: Annotated[list[Annotated[str, Written(read_glob)]], Field(min_length=1), Written(one_or_list)] | None = Field(
        default=None, description="Only files that match one of these are looked at; `**` is any number of directories."
    )
    match: Pattern | None = Field(
        default=None, description="A regular expression found in the path; its named groups may stand in `project`."
    )
    project: Annotated[str, Written(read_name_template)] | None = Field(
        default=None, description="What projects are called: {stem}, {parent}, {date} and the groups of `match`."
    )
    env: dict[VariableName, TemplateText] | None = Field(default=None, description="The projects' own variables.")
    tags: list[str] | None = Field(default=None, description="The projects' tags.")
    settle: Wait | None = Field(default=None, description="How long a file must not have changed.")
    at_once: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)] | None = Field(
        default=None, description="How many of its projects may be queued or running at a time."
    )
    start: bool | None = Field(default=None, description="Whether projects start by themselves, or are only made.")
    set_aside_dir: Annotated[str, Written(read_directory)] | None = Field(
        default=None, description="Where bad files are moved; without it they stay where they are."
    )


class WatchFileDocument(Document):
    """The file."""

    becomes = Frozen
    called = "the file of watches"

    watches: list[WatchDocument] = Field(description="The places.")


def load_watches(path: Path) -> tuple[Watch, ...]:
    """The watches of the file; none where there is no such file, or only comments in it.

    Raises WatchFileInvalid with everything that is wrong with it.
    """
    if not path.exists():
        return ()
    try:
        return parse_watches(read_content(path), str(path))
    except WatchFileInvalid:
        raise
    except PipelineInvalid as error:
        raise WatchFileInvalid(error.what, problems=error.problems) from error


def parse_watches(content: bytes, file: str) -> tuple[Watch, ...]:
    """The watches in `content`. `file` stands in messages. Raises PipelineInvalid."""
    if NOTHING_SAID.fullmatch(content):
        return ()
    tree = read_tree(content, file)
    document: WatchFileDocument | None = None
    try:
        document = WatchFileDocument.model_validate(tree.data)
    except ValidationError as error:
        for found in findings(error, WatchFileDocument):
            mark = tree.key_mark(found.path) if found.at_key else tree.mark(found.path)
            tree.note(mark, found.what, found.expected, found.suggestion)
    if document is not None:
        _check_whole(tree, document)
    if tree.problems or document is None:
        problems = tuple(sorted(set(tree.problems)))
        raise WatchFileInvalid("\n".join(map(str, problems)), problems=problems)
    return tuple(Watch.model_validate(watch.resolved()) for watch in document.watches)


def _check_whole(tree: Tree, document: WatchFileDocument) -> None:
    """What can be said only of a watch as a whole, and of all of them."""
    names: set[str] = set()
    for index, watch in enumerate(document.watches):
        if watch.name in names:
            tree.note(
                tree.mark(("watches", index, "name")), f"two watches are called {shown(watch.name)}", "another name"
            )
        names.add(watch.name)
        known = (*FIELDS, *_groups(watch))
        for field in template_fields(watch.project or ""):
            if field not in known:
                mark = tree.mark(("watches", index, "project"))
                expected = f"one of {', '.join(known)}, or a group of `match`"
                tree.note(mark, f"`project` has no field {{{field}}}", expected, nearest(field, known))
        if watch.set_aside_dir and watch.place.startswith(S3):
            mark = tree.key_mark(("watches", index, "set_aside_dir"))
            tree.note(mark, "`set_aside_dir` cannot be said of an S3 prefix", "objects stay where they are")


def _groups(watch: WatchDocument) -> Iterator[str]:
    yield from group_names(watch.match) if watch.match else ()
