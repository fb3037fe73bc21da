"""Benchmarks with goals: `python -m bench [name ...]`."""
