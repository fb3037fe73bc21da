"""Lets a machine join a Slurm cluster, and leave it: its packages, keys, configuration and services."""
