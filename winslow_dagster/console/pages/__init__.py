"""Pages, one module per room."""

from winslow_dagster.console.pages import home

ROOMS = (home.room,)
