"""Validates forms and answers, and turns answers into what a stage reads."""
