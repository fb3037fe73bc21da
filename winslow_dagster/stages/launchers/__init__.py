"""What starts a stage and ends it: as a container or as a process."""
