"""Stages as plain processes."""
