"""The log of an attempt: a page of its own, and the panel that other pages show it in."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import Query, Request
from starlette.responses import HTMLResponse

from winslow_dagster.console.caller import Front
from winslow_dagster.console.pages.project import stage_page
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import LOGS, Room
from winslow_dagster.console.stage_place import Place
from winslow_dagster.projects.commands.attempt_log import AttemptLog
from winslow_dagster.projects.commands.project import ProjectHandle
from winslow_dagster.projects.domain.log_views import LogShape

FIRST_LINES = 160
"""Lines that come with the page: more than a screen has."""
TABS_MOST = 8
"""The latest attempts have tabs, and the one that is shown."""
LINES = re.compile(r"([0-9]{1,15})(?:-([0-9]{1,15}))?")

room = Room(threads=LOGS)


@dataclass(frozen=True, slots=True)
class AttemptTab:
    """Another attempt of the stage."""

    number: int
    outcome: str | None
    path: str


@dataclass(frozen=True, slots=True)
class LogPanel:
    """What `parts/log.html` shows. `line` is where the log opens, None for its end; `window` has the first lines."""

    project: str
    stage: str
    number: int
    task_id: str
    outcome: str
    started_at: datetime
    attempts: tuple[AttemptTab, ...]
    attempt_count: int
    full: bool
    errors: int
    warnings: int
    line: int | None
    window: str
    command: str

    @property
    def panel_path(self) -> str:
        """The address of the log in the panel of its stage."""
        return log_path(self.project, self.stage, self.number)

    @property
    def full_path(self) -> str:
        """The address of the log in a window of its own."""
        return log_path(self.project, self.stage, self.number, full=1)

    @property
    def api(self) -> str:
        """The address of the log in the REST API."""
        return f"/api/v1{stage_path(self.project, self.stage)}/log"


def stage_path(project: str, stage: str) -> str:
    """The address of a stage's page."""
    return f"/projects/{quote(project, safe='')}/stages/{quote(stage, safe='')}"


def log_path(project: str, stage: str, attempt: int, **query: int) -> str:
    """The address of a log's page."""
    return f"{stage_path(project, stage)}/log?{urlencode({'attempt': attempt, **query})}"


def log_panel(  # noqa: PLR0913  # the parts of its address, by name
    handle: ProjectHandle,
    stage: str,
    attempt: str | None = None,
    *,
    line: str | None = None,
    pipeline: str | None = None,
    full: bool = False,
) -> LogPanel:
    """The log of the stage's latest attempt, or of one of its attempts. Raises NotFound."""
    log = handle.log(stage, attempt, pipeline=pipeline)
    found = log.attempt
    of_stage = [each for each in handle.attempts() if each.stage == stage]
    numbers = {each.task_id: number for number, each in enumerate(of_stage, 1)}
    number = numbers[found.task_id]
    summary = log.summary()
    shape = log.shape()
    asked = LINES.fullmatch(line or "")
    opens_at = min(max(1, int(asked[1])), max(1, shape.lines)) if asked else _first_error(log, shape)
    return LogPanel(
        project=handle.name,
        stage=stage,
        number=number,
        task_id=found.task_id,
        outcome=handle.outcome_of(stage, found.task_id),
        started_at=found.started_at,
        attempts=tuple(
            AttemptTab(
                each, of_stage[each - 1].outcome, log_path(handle.name, stage, each, **({"full": 1} if full else {}))
            )
            for each in sorted({number, *range(max(1, len(of_stage) - TABS_MOST + 1), len(of_stage) + 1)}, reverse=True)
        ),
        attempt_count=len(of_stage),
        full=full,
        errors=summary.error_count,
        warnings=summary.warning_count,
        line=opens_at,
        window=json.dumps(asdict(log.window(_begin(opens_at, shape), FIRST_LINES)), ensure_ascii=False),
        command=f"winslow logs {handle.name} {stage} --attempt {number}",
    )


def _first_error(log: AttemptLog, shape: LogShape) -> int | None:
    """The first error of a log that has ended. One that is growing opens at its end."""
    errors = log.summary().errors if shape.ended else ()
    return errors[0].line if errors else None


def _begin(line: int | None, shape: LogShape) -> int:
    return max(1, shape.lines - FIRST_LINES + 1) if line is None else max(1, line - FIRST_LINES // 3)


@room.route_for("/projects/{project}/stages/{stage}/log", role="viewer")
def show_log(  # noqa: PLR0913  # the parts of its address
    request: Request,
    front: Front,
    project: str,
    stage: str,
    *,
    attempt: Annotated[str | None, Query()] = None,
    pipeline: Annotated[str | None, Query()] = None,
    line: Annotated[str | None, Query()] = None,
    full: Annotated[bool, Query()] = False,
) -> HTMLResponse:
    """The log, in the panel of its stage. A refresh of the page leaves it alone: it follows the log itself.

    With `full`, it has the window for itself.
    """
    handle = front.project(project)
    if full:
        panel = log_panel(handle, stage, attempt, line=line, pipeline=pipeline, full=True)
        return page(request, "log.html", log=panel)
    started = "part" not in request.query_params and has_attempts(handle, stage, pipeline)
    log = log_panel(handle, stage, attempt, line=line, pipeline=pipeline) if started or attempt else None
    return stage_page(
        request, front, project, stage, tab="log", place=Place(attempt, pipeline), template="project/log.html", log=log
    )


def has_attempts(handle: ProjectHandle, stage: str, pipeline: str | None) -> bool:
    """Whether the stage has a log. Raises NotFound for an unknown stage."""
    own = handle.pipeline_of_stage(stage, pipeline).name
    return any((each.pipeline, each.stage) == (own, stage) for each in handle.attempts())
