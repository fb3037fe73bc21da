"""Retention: what the rules remove, pins, pruning, and disk usage."""
