"""Figures with goals."""

from __future__ import annotations

from bench.figure import Figure


def at_most(name: str, value: float, unit: str, goal: float | None, note: str = "") -> Figure:
    """A figure that should be low."""
    return Figure(name, round(value, 4), unit, f"<= {goal:g}" if goal else "", value <= goal if goal else None, note)


def at_least(name: str, value: float, unit: str, goal: float | None, note: str = "") -> Figure:
    """A figure that should be high."""
    return Figure(name, round(value, 4), unit, f">= {goal:g}" if goal else "", value >= goal if goal else None, note)
