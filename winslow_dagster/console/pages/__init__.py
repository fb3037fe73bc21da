"""Pages, one module per room."""

from winslow_dagster.console.pages import (
    audit,
    health,
    home,
    log,
    new_project,
    pipelines,
    project,
    project_acts,
    project_question,
    projects,
)

ROOMS = (
    home.room,
    projects.room,
    projects.pictures,
    log.room,
    audit.room,
    health.room,
    project.room,
    project_acts.room,
    project_question.room,
    new_project.room,
    pipelines.room,
)
