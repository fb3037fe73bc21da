"""The REST API, one module per room. The names are those of the command line and of Python."""

from winslow_dagster.console.rest import (
    audit,
    compare,
    findings,
    footage,
    health,
    logs,
    new_projects,
    people,
    pipelines,
    project,
    projects,
    questions,
    redo,
    tables,
)

ROOMS = (
    health.room,
    projects.room,
    new_projects.room,
    pipelines.room,
    logs.room,
    audit.room,
    findings.room,
    project.file_room,
    project.room,
    footage.room,
    redo.room,
    questions.image_room,
    questions.room,
    tables.room,
    people.room,
    compare.room,
    compare.table_room,
    compare.log_room,
)
