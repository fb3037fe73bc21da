"""Pages, one module per room."""

from winslow_dagster.console.pages import audit, health, home, log, projects

ROOMS = (
    home.room,
    projects.room,
    projects.pictures,
    log.room,
    audit.room,
    health.room,
)
