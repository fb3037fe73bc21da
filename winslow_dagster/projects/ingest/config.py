"""The watch file: which folders are watched, and which pipeline runs for the files in them (WINSLOW_WATCH_FILE)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from winslow_dagster.errors import InputRejected, NotFound, WatchFileInvalid
from winslow_dagster.pipelines import Pipeline, Variables, nearest
from winslow_dagster.pipelines.config_file import load_config, parse_config
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.pipelines.patterns import group_names
from winslow_dagster.pipelines.problems import shown
from winslow_dagster.pipelines.schema.base import Document
from winslow_dagster.pipelines.schema.field_types import Environment, Glob, Name, Pattern, Wait, Written
from winslow_dagster.pipelines.schema.value_parsers import one_or_list, refusal, text_of
from winslow_dagster.pipelines.yaml.reader import Tree
from winslow_dagster.projects.ingest.naming import FIELDS, template_fields

S3 = "s3://"
MAX_CONCURRENT_LIMIT = 1000


class Watch(Frozen):
    """One watched folder. With `input` None, a file becomes the pipeline's only required video."""

    name: str
    source: str
    pipeline: str
    input: str | None = None
    glob: tuple[str, ...] = ("*",)
    path_regex: str | None = None
    project: str = "{stem}"
    env: Variables = Field(default_factory=dict)
    tags: tuple[str, ...] = ()
    stable_for_s: float = 10.0
    max_concurrent: int = 20
    auto_start: bool = True
    quarantine_dir: Path | None = None

    @property
    def on_s3(self) -> bool:
        """Whether the source is a prefix in a bucket."""
        return self.source.startswith(S3)

    def input_of(self, pipeline: Pipeline) -> str:
        """Return the name of the input that a file becomes. Raises NotFound, or InputRejected if it is ambiguous."""
        where = f"watch {self.name}"
        if self.input is not None:
            if self.input not in pipeline.inputs:
                suggestion = nearest(self.input, pipeline.inputs)
                raise NotFound(
                    f"pipeline {pipeline.name} has no input {self.input!r}",
                    where=where,
                    expected=f"one of {', '.join(pipeline.inputs)}" if pipeline.inputs else "",
                    remedy=f"Did you mean {suggestion}?" if suggestion else "",
                )
            if pipeline.inputs[self.input].kind == "directory":
                raise InputRejected(
                    f"input {self.input} is a directory; a watch can only provide single files", where=where
                )
            return self.input
        videos = [name for name, spec in pipeline.inputs.items() if spec.required and spec.kind == "video"]
        if len(videos) != 1:
            raise InputRejected(
                f"pipeline {pipeline.name} requires {len(videos) or 'no'} video{'' if len(videos) == 1 else 's'}",
                where=where,
                remedy="Name the input that a file becomes with `input:`",
            )
        return videos[0]


def read_source(value: Any) -> str:
    """Read an absolute directory or an S3 prefix."""
    text = text_of(value, "a directory, or s3://bucket/prefix")
    bucket = text.removeprefix(S3).split("/")[0]
    if not (bucket if text.startswith(S3) else Path(text).is_absolute()):
        raise refusal(f"{shown(text)} is not a valid source", "an absolute directory, or s3://bucket/prefix")
    return text


def read_directory(value: Any) -> str:
    """Read an absolute directory."""
    text = text_of(value, "an absolute directory")
    if not Path(text).is_absolute():
        raise refusal(f"{shown(text)} is not absolute", "an absolute directory")
    return text


def read_name_template(value: Any) -> str:
    """Read a text with `{fields}`."""
    text = text_of(value, "a text with {stem}, {parent} or {date}")
    try:
        template_fields(text)
    except ValueError as error:
        raise refusal(f"{shown(text)} is not a valid template: {error}", "fields such as {stem}; {{ for {") from error
    return text


class WatchDocument(Document):
    """One watched folder."""

    model = Watch
    noun = "a watch"

    name: Name = Field(description="Name of the watch in listings.")
    source: Annotated[str, Written(read_source)] = Field(
        description="Folder to watch: an absolute directory, or an S3 prefix (s3://bucket/prefix)."
    )
    pipeline: Name = Field(description="Pipeline to run.")
    input: Name | None = Field(default=None, description="Pipeline input that a file becomes.")
    glob: Annotated[list[Glob], Field(min_length=1), Written(one_or_list)] | None = Field(
        default=None, description="Ingest only files that match one of these; `**` matches any number of directories."
    )
    path_regex: Pattern | None = Field(
        default=None, description="Regular expression to find in the path; `project` may use its named groups."
    )
    project: Annotated[str, Written(read_name_template)] | None = Field(
        default=None, description="Project name: {stem}, {parent}, {date} and the groups of `path_regex`."
    )
    env: Environment | None = Field(default=None, description="Variables of the projects.")
    tags: list[str] | None = Field(default=None, description="Tags of the projects.")
    stable_for: Wait | None = Field(
        default=None, description="How long a file must be unchanged before it is considered complete."
    )
    max_concurrent: Annotated[int, Field(ge=1, le=MAX_CONCURRENT_LIMIT)] | None = Field(
        default=None, description="Maximum number of the watch's projects that are queued or running."
    )
    auto_start: bool | None = Field(default=None, description="Whether to start a run; if false, only create projects.")
    quarantine_dir: Annotated[str, Written(read_directory)] | None = Field(
        default=None, description="Directory to move rejected files to; by default they stay where they are."
    )


class WatchFileDocument(Document):
    """The watch file."""

    model = Frozen
    noun = "the watch file"

    watches: list[WatchDocument] = Field(description="Folders to watch.")


def load_watches(path: Path) -> tuple[Watch, ...]:
    """Load the watches; none if the file does not exist or is empty. Raises WatchFileInvalid with all problems."""
    return _watches(load_config(path, WatchFileDocument, WatchFileInvalid, _check_whole))


def parse_watches(content: bytes, file: str) -> tuple[Watch, ...]:
    """Read the watches from `content`; messages name `file`. Raises WatchFileInvalid."""
    return _watches(parse_config(content, file, WatchFileDocument, WatchFileInvalid, _check_whole))


def _watches(document: WatchFileDocument | None) -> tuple[Watch, ...]:
    return tuple(Watch.model_validate(watch.resolved()) for watch in (document.watches if document else ()))


def _check_whole(tree: Tree, document: WatchFileDocument | None) -> None:
    """Check what involves several fields, or several watches."""
    names: set[str] = set()
    for index, watch in enumerate(document.watches if document else ()):
        if watch.name in names:
            tree.note(
                tree.mark(("watches", index, "name")), f"duplicate watch name {shown(watch.name)}", "another name"
            )
        names.add(watch.name)
        known = (*FIELDS, *_groups(watch))
        for field in template_fields(watch.project or ""):
            if field not in known:
                mark = tree.mark(("watches", index, "project"))
                expected = f"one of {', '.join(known)}, or a group of `path_regex`"
                tree.note(mark, f"`project` has no field {{{field}}}", expected, nearest(field, known))
        if watch.quarantine_dir and watch.source.startswith(S3):
            mark = tree.key_mark(("watches", index, "quarantine_dir"))
            tree.note(mark, "`quarantine_dir` cannot be used with an S3 source", "a directory as `source`")


def _groups(watch: WatchDocument) -> Iterator[str]:
    yield from group_names(watch.path_regex) if watch.path_regex else ()
