"""Pipelines and forms as frozen values."""
