"""Checks a stage's outputs against the declarations of its pipeline."""
