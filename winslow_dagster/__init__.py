"""Winslow on Dagster: runs the stages of traffic-video analysis, and loses nothing when anything is killed."""
