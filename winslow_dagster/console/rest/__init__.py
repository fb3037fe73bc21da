"""The REST API, one module per room. The names are those of the command line and of Python."""

from winslow_dagster.console.rest import audit, findings, health, logs, project, projects

ROOMS = (
    health.room,
    projects.room,
    logs.room,
    audit.room,
    findings.room,
    project.file_room,
    project.room,
)
