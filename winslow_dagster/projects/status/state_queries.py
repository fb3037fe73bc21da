"""The rules of `state.py` as SQL, for projects without an open run, whose state does not depend on Dagster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, get_args

from sqlalchemy import (
    Alias,
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.sql.selectable import FromClause, TableValuedAlias

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.dismissals import DISMISSED
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.model import RunOutcome
from winslow_dagster.projects.domain.views import ProjectFilter, ProjectMark, ProjectQuery, ProjectState
from winslow_dagster.projects.status.state import NEVER_RUN, after_run, sweep_state

Runs = Table | Alias
OUTCOMES: tuple[RunOutcome, ...] = get_args(RunOutcome)
STATES: tuple[ProjectState, ...] = get_args(ProjectState)
MARKS: dict[ProjectMark, ColumnElement[bool]] = {"noted": DISMISSED}

WITH_LATEST_RUN = schema.projects.outerjoin(schema.runs, schema.runs.c.run_id == schema.projects.c.latest_run)
CHANGED_AT = func.coalesce(
    schema.runs.c.ended_at, schema.runs.c.launched_at, schema.projects.c.created_at, type_=schema.Utc
).label("changed_at")


def unanswered(runs: Runs) -> ColumnElement[bool]:
    """Whether a question of the run is open: it has had no answer, and its stage no output by hand, since."""
    holds = schema.holds
    of_run = (holds.c.run_id == runs.c.run_id, holds.c.cause == "input")
    return select(holds.c.stage).where(*of_run, *_open(runs)).correlate(runs).exists()


def unanswered_holds(run_ids: Collection[str]) -> Select[tuple[str, str, str]]:
    """Run, stage and message of each open question of these runs, the earliest first."""
    holds, runs = schema.holds, schema.runs
    asked = (runs.c.run_id.in_(run_ids), holds.c.run_id == runs.c.run_id, holds.c.cause == "input")
    query = select(holds.c.run_id, holds.c.stage, holds.c.message).where(*asked, *_open(runs))
    return query.order_by(holds.c.held_at, holds.c.stage)


def _open(runs: Runs) -> tuple[ColumnElement[bool], ...]:
    """Neither answered nor settled by hand: a stage whose file was replaced, or that was picked, asks nothing more."""
    answers, attempts, picks = schema.answers, schema.attempts.alias(), schema.picks.alias()
    return (
        ~_since(runs, answers, answers.c.given_at, answers.c.accepted.is_(True)),
        ~_since(runs, attempts, attempts.c.ended_at, attempts.c.outcome == "succeeded"),
        ~_since(runs, picks, picks.c.picked_at),
    )


def _since(
    runs: Runs, table: FromClause, moment: ColumnElement[Any], *conditions: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Whether the stage that asks has a row in the table, of a later moment than its question."""
    holds = schema.holds
    # Correlated explicitly: SQLAlchemy correlates only with the directly enclosing query.
    return (
        select(table.c.stage)
        .where(
            table.c.project == holds.c.project,
            table.c.pipeline == runs.c.pipeline,
            table.c.stage == holds.c.stage,
            moment > holds.c.held_at,
            *conditions,
        )
        .correlate(holds, runs)
        .exists()
    )


def picked(runs: Runs) -> ColumnElement[bool]:
    """Whether an attempt of the run's sweep was picked."""
    of_sweep, attempts, picks = schema.runs.alias(), schema.attempts, schema.picks
    return exists(picks.c.id).where(
        picks.c.project == runs.c.project,
        attempts.c.task_id == picks.c.task_id,
        of_sweep.c.run_id == attempts.c.run_id,
        of_sweep.c.sweep == runs.c.sweep,
    )


def has_open_run() -> ColumnElement[bool]:
    """Whether a run of the project is open, so that its state depends on Dagster."""
    open_runs = schema.runs.alias()
    return schema.projects.c.name.in_(select(open_runs.c.project).where(open_runs.c.ended_at.is_(None)))


OPEN_AND_PICKED = select(unanswered(schema.runs), picked(schema.runs)).where(
    schema.runs.c.run_id == bindparam("of_run")
)
"""Made once: every look at a project asks this, and to make the statement takes longer than to execute it."""


def answered_and_picked(database: Database, run_id: str) -> tuple[bool, bool]:
    """Whether all questions of the run have been answered, and whether an attempt of its sweep was picked."""
    with database.reading() as connection:
        open_question, pick = connection.execute(OPEN_AND_PICKED, {"of_run": run_id}).one()
    return not open_question, bool(pick)


def matching(
    connection: Connection,
    query: ProjectQuery,
    active: Mapping[str, ProjectState],
    changed: Mapping[str, datetime],
    *also: ColumnElement[bool],
) -> tuple[tuple[str, ...], int, dict[str, int]]:
    """The names on the query's page in order, the number of projects that match, and the number in each group.

    `active` are the states of the projects with an open run, and `changed` when such a run has ended.
    """
    projects = schema.projects
    state = _state(active)
    conditions = (*_conditions(connection, query, state), *also)
    ended = {name: literal(moment, schema.Utc) for name, moment in changed.items()}
    changed_at = case(ended, value=projects.c.name, else_=CHANGED_AT) if ended else CHANGED_AT
    order: dict[str, ColumnElement[Any]] = {
        "name": projects.c.name,
        "changed_at": changed_at,
        "created_at": projects.c.created_at,
        "state": case({name: position for position, name in enumerate(STATES)}, value=state),
        "pipeline": projects.c.pipeline,
        "owner": projects.c.owner,
        # Tags are sorted. A project without any comes last.
        "tag": func.coalesce(projects.c.tags[0].as_string(), ""),
    }
    key = order[query.sort].desc() if query.descending else order[query.sort]
    group: tuple[ColumnElement[Any], ...] = ()
    if query.group == "state":
        group = (order["state"],)
    elif query.group is not None:
        group = (order[query.group] == "", order[query.group])
    found = select(projects.c.name).select_from(WITH_LATEST_RUN).where(*conditions)
    page = found.order_by(*group, key, projects.c.name).limit(query.limit).offset(query.offset)
    names = tuple(connection.execute(page).scalars())
    if query.group is not None:
        value = state if query.group == "state" else order[query.group]
        counted = select(value, func.count()).select_from(WITH_LATEST_RUN).where(*conditions).group_by(value)
        groups: dict[str, int] = {row[0]: row[1] for row in connection.execute(counted)}
        return names, sum(groups.values()), groups
    if names and len(names) < query.limit:
        return names, query.offset + len(names), {}
    return names, connection.execute(select(func.count()).select_from(found.subquery())).scalar_one(), {}


def states_counted(connection: Connection, active: Mapping[str, ProjectState]) -> dict[ProjectState, int]:
    """State -> the number of projects in it."""
    state = _state(active)
    counted = select(state, func.count()).select_from(WITH_LATEST_RUN).where(schema.LIVE).group_by(state)
    rows = connection.execute(counted)
    return {row[0]: row[1] for row in rows}


def selected(connection: Connection, wanted: ProjectFilter, names: Collection[str]) -> frozenset[str]:
    """Those of the projects that the filter selects, whose states are taken as those of projects without open runs."""
    conditions = _conditions(connection, wanted, _state({}))
    query = select(schema.projects.c.name).select_from(WITH_LATEST_RUN)
    return frozenset(connection.execute(query.where(schema.projects.c.name.in_(names), *conditions)).scalars())


def _conditions(
    connection: Connection, query: ProjectFilter, state: ColumnElement[str]
) -> tuple[ColumnElement[bool], ...]:
    projects = schema.projects
    conditions: list[ColumnElement[bool]] = [schema.LIVE]
    for column, any_of, none_of in (
        (state, query.states, query.not_states),
        (projects.c.pipeline, query.pipelines, query.not_pipelines),
        (projects.c.owner, query.owners, query.not_owners),
    ):
        if any_of:
            conditions.append(column.in_(any_of))
        if none_of:
            conditions.append(column.not_in(none_of))

    def has_tag(tag: str) -> ColumnElement[bool]:
        return _has_tag(connection, lambda value: value == tag)

    conditions += (MARKS[mark] for mark in query.marks)
    conditions += (~MARKS[mark] for mark in query.not_marks)
    conditions += map(has_tag, query.tags)
    conditions += (~has_tag(tag) for tag in query.not_tags)
    conditions += (_has_text(connection, text) for text in query.texts)
    conditions += (~_has_text(connection, text) for text in query.not_texts)
    return tuple(conditions)


def _state(active: Mapping[str, ProjectState]) -> ColumnElement[str]:
    """The state of the project, made from the Python rules for each outcome."""
    projects, runs = schema.projects, schema.runs
    by_state: dict[ProjectState, list[str]] = defaultdict(list)
    for name, state in active.items():
        by_state[state].append(name)
    of_sweep = schema.runs.alias()
    succeeded = exists().where(of_sweep.c.sweep == runs.c.sweep, of_sweep.c.outcome == "succeeded")
    return case(
        *((projects.c.name.in_(names), literal(state)) for state, names in by_state.items()),
        (runs.c.run_id.is_(None), literal(NEVER_RUN[0])),
        (and_(runs.c.sweep.is_(None), runs.c.outcome == "awaiting_input", unanswered(runs)), _after("awaiting_input")),
        *(
            (and_(runs.c.sweep.is_(None), runs.c.outcome == outcome), _after(outcome, answered=True))
            for outcome in OUTCOMES
        ),
        (picked(runs), literal(sweep_state(picked=True, succeeded=True, last=None))),
        (succeeded, literal(sweep_state(picked=False, succeeded=True, last=None))),
        *(
            (runs.c.outcome == outcome, literal(sweep_state(picked=False, succeeded=False, last=outcome)))
            for outcome in OUTCOMES
        ),
    )


def _after(outcome: RunOutcome, *, answered: bool = False) -> ColumnElement[str]:
    return literal(after_run(outcome, "", answered=answered)[0])


def tags_of(connection: Connection) -> TableValuedAlias:
    """The tags of a project as rows with a `value`."""
    elements = func.jsonb_array_elements_text if connection.dialect.name == "postgresql" else func.json_each
    return elements(schema.projects.c.tags).table_valued("value")


def _has_tag(connection: Connection, condition: Any) -> ColumnElement[bool]:
    tags = tags_of(connection)
    return select(literal(1)).select_from(tags).where(condition(tags.c.value)).correlate(schema.projects).exists()


def _has_text(connection: Connection, text: str) -> ColumnElement[bool]:
    def contains(column: ColumnElement[str]) -> ColumnElement[bool]:
        return func.lower(column).contains(text.lower(), autoescape=True)

    projects = schema.projects
    return or_(contains(projects.c.name), contains(projects.c.notes), _has_tag(connection, contains))
