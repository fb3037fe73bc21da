"""`python -m winslow_dagster.console`: the web server as a process of its own."""

from winslow_dagster.console.server import serve
from winslow_dagster.settings import Settings

if __name__ == "__main__":
    serve(Settings.read())
