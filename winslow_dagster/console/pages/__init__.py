"""Pages, one module per room."""

from winslow_dagster.console.pages import home, log, projects

ROOMS = (
    home.room,
    projects.room,
    projects.pictures,
    log.room,
)
