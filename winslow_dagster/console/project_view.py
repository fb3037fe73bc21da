"""What a project's page says: one sentence, the graphs of its pipelines, and which stage is chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import quote, urlencode

from winslow_dagster.console.graph_layout import Drawing, draw
from winslow_dagster.console.rendering import listed
from winslow_dagster.formatting import count_of, format_duration
from winslow_dagster.pipelines import Pipeline
from winslow_dagster.projects.domain.views import ProjectFile, ProjectStatus, StageState, StageView
from winslow_dagster.stages.task.model import SubjectProgress

Tab = Literal["result", "log", "settings", "files", "attempts", "checks"]
TABS: tuple[Tab, ...] = get_args(Tab)
CHOSEN_FIRST: tuple[StageState, ...] = ("failed", "awaiting_input", "running", "cancelled")
"""The stages that a person most likely wants to see."""


NOTHING = Drawing(0, 0, (), ())


@dataclass(frozen=True, slots=True)
class Graph:
    """One pipeline of a project. `problem` is why it cannot be drawn; empty if it can."""

    pipeline: str
    digest: str
    own: bool
    drawing: Drawing = NOTHING
    stages: Mapping[str, StageView] | None = None
    after: Mapping[str, tuple[str, ...]] | None = None
    problem: str = ""


def graph_of(pipeline: Pipeline, digest: str, stages: Iterable[StageView], *, own: bool) -> Graph:
    """The graph of a pipeline with the states of its stages."""
    after = {stage.name: stage.after for stage in pipeline.stages}
    return Graph(pipeline.name, digest, own, draw(after), {view.stage: view for view in stages}, after)


def chosen_stage(status: ProjectStatus) -> str:
    """The stage to show if nobody has chosen one; empty if the project has none."""
    for state in CHOSEN_FIRST:
        for view in status.stages:
            if view.state == state:
                return view.stage
    done = [view.stage for view in status.stages if view.in_use]
    return done[-1] if done else next((view.stage for view in status.stages), "")


def stage_path(project: str, stage: str, tab: str = "", **query: str | int | None) -> str:
    """The address of a stage, one of its tabs, and what is chosen there."""
    path = f"/projects/{quote(project, safe='')}/stages/{quote(stage, safe='')}"
    path += f"/{tab}" if tab else ""
    chosen = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(chosen)}" if chosen else path


def file_path(project: str, stage: str, path: str, **query: str | int | None) -> str:
    """The address of an output file."""
    chosen = {name: value for name, value in query.items() if value not in (None, "")}
    address = f"/api/v1/projects/{quote(project, safe='')}/files/{quote(stage, safe='')}/{quote(path)}"
    return f"{address}?{urlencode(chosen)}" if chosen else address


def archive_path(project: str, stage: str | None = None, **query: str | int | None) -> str:
    """The address of the current outputs of all stages or of one, or of those of an attempt, as one archive."""
    chosen = {name: value for name, value in {"stage": stage, **query}.items() if value not in (None, "")}
    return f"/api/v1/projects/{quote(project, safe='')}/archive?{urlencode(chosen)}"


def data_path(what: str, project: str, file: ProjectFile, **query: str | int | None) -> str:
    """The address of an output file as a table, a chart or another view of its data."""
    chosen = {"file": f"{file.stage}/{file.path}"} | {key: value for key, value in query.items() if value}
    return f"/api/v1/projects/{quote(project, safe='')}/{what}?{urlencode(chosen)}"


def usage_path(project: str, stage: str, attempt: str, pipeline: str | None) -> str:
    """The address of what an attempt uses or used over its time."""
    chosen = {"attempt": attempt} | ({"pipeline": pipeline} if pipeline else {})
    base = f"/api/v1/projects/{quote(project, safe='')}/stages/{quote(stage, safe='')}/usage"
    return f"{base}?{urlencode(chosen)}"


def growing_path(what: str, project: str, stage: str, path: str, pipeline: str | None) -> str:
    """The address of a table that a stage is writing, or of a chart of it."""
    chosen = {"file": f"{stage}/{path}", "growing": "1"} | ({"pipeline": pipeline} if pipeline else {})
    return f"/api/v1/projects/{quote(project, safe='')}/{what}?{urlencode(chosen)}"


def sentence(status: ProjectStatus) -> str:
    """What the project does or waits for, in one sentence without its state."""
    if status.state == "running" and not status.reason:
        return _running(status)
    if status.state == "succeeded" and not status.reason:
        return "Everything is up to date."
    if status.state == "idle" and status.missing_inputs:
        return f"It needs {listed(status.missing_inputs)} before it can run."
    return _as_sentence(status.reason, (view.stage for view in status.stages))


def _running(status: ProjectStatus) -> str:
    running = [view for view in status.stages if view.state == "running"]
    if not running:
        return "The next stage is about to start."
    done = sum(1 for view in status.stages if view.state == "succeeded")
    text = f"{listed(view.stage for view in running)} · {done} of {count_of(len(status.stages), 'stage')} finished"
    left = [each.remaining_s for view in running for each in view.progress if each.remaining_s is not None]
    if not left:
        return text
    return f"{text} · about {format_duration(max(left))} left in this stage" if max(left) > 0 else f"{text} · finishing"


def _as_sentence(text: str, names: Iterable[str]) -> str:
    """A reason as a sentence. The name of a stage stays as it is."""
    if not text:
        return ""
    named = any(text.startswith((f"{name}:", f"{name},", f"{name} ")) for name in names)
    first = text if named else f"{text[:1].upper()}{text[1:]}"
    return first if first.endswith((".", "!", "?")) else f"{first}."


def share(progress: SubjectProgress) -> float | None:
    """How much of a subject is done, from 0 to 1; None where its total is unknown."""
    if progress.unit == "%":
        return min(1.0, max(0.0, progress.current / 100))
    return min(1.0, max(0.0, progress.current / progress.total)) if progress.total else None


def flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as lines: `env.THRESHOLD`, `0.4`."""
    found: list[tuple[str, str]] = []
    for name, value in settings.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping) and set(value) - {"secret", "digest", "in_env"}:
            found += flat(value, f"{path}.")
        elif isinstance(value, Mapping):
            found.append((path, f"(secret {value.get('secret', '')})"))
        elif isinstance(value, list | tuple):
            found.append((path, " ".join(map(str, value))))
        elif value not in (None, "", {}):
            found.append((path, str(value)))
    return found


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory of output files. `files` are positions in the list that it was made from."""

    name: str
    folders: tuple[Folder, ...]
    files: tuple[int, ...]


def tree(paths: Iterable[str]) -> Folder:
    """The directories of relative paths, in their order."""
    root: dict[tuple[str, str], Any] = {}
    for index, path in enumerate(paths):
        *directories, name = path.split("/")
        place = root
        for directory in directories:
            place = place.setdefault((directory, "folder"), {})
        place[name, "file"] = index
    return _folder("", root)


def _folder(name: str, content: Mapping[Any, Any]) -> Folder:
    return Folder(
        name,
        tuple(_folder(each, inside) for (each, kind), inside in content.items() if kind == "folder"),
        tuple(index for (_, kind), index in content.items() if kind == "file"),
    )
