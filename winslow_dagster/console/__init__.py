"""The web server of an installation: one process on one port, with Dagster's web interface inside it."""
