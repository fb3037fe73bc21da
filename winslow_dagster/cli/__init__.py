"""The command line. Everything heavy is imported by the command that needs it, so that `winslow --help` is quick."""

from winslow_dagster.cli.main import main

__all__ = ["main"]
