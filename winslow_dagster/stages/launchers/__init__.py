"""Stage launchers: a stage runs as a Docker container or as a process."""
