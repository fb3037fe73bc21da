"""Pages, one module per room."""

from winslow_dagster.console.pages import (
    audit,
    compare,
    deleted,
    footage,
    health,
    home,
    log,
    login,
    new_project,
    people,
    pipelines,
    project,
    project_acts,
    project_question,
    projects,
)

ROOMS = (
    login.room,
    home.room,
    projects.room,
    projects.pictures,
    deleted.room,
    log.room,
    audit.room,
    health.room,
    project.room,
    footage.room,
    project_acts.room,
    project_question.room,
    new_project.room,
    pipelines.room,
    people.room,
    compare.room,
    compare.slow_room,
)
