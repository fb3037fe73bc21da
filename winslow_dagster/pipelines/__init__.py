"""YAML to Pipeline. Pure: no Dagster, no Docker, no database."""
