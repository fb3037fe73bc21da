"""Pages, one module per room."""

from winslow_dagster.console.pages import home, projects

ROOMS = (home.room, projects.room, projects.pictures)
