"""Stages as Docker containers."""
