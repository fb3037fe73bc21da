"""Finds out, batch by batch, whether the cells of a column are numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from winslow_dagster.pipelines.units import parse_number
from winslow_dagster.tables.model import Column

UNKNOWN = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "inf", "-inf", "+inf", "infinity", "-infinity"})
"""Cells in a column of numbers that are none."""
COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+(?:[eE][+-]?[0-9]+)?")


class ColumnFacts:
    """What the cells of one column were so far."""

    def __init__(self, name: str, *, may_have_commas: bool) -> None:
        self.name = name
        self._may_have_commas = may_have_commas
        self._commas = False
        self._text = False
        self._filled = False
        self._min, self._max = math.inf, -math.inf

    def take(self, cells: Sequence[Any]) -> None:
        """The cells of further rows; None is an empty one."""
        if self._text:
            return
        try:
            numbers = list(map(float, cells))
            if any(map(math.isnan, numbers)) or "_" in "".join(map(str, cells)):
                numbers = self._one_by_one(cells)
        except (ValueError, TypeError):
            numbers = self._one_by_one(cells)
        finite = [each for each in numbers if math.isfinite(each)]
        if finite:
            self._filled = True
            self._min, self._max = min(self._min, *finite), max(self._max, *finite)

    def _one_by_one(self, cells: Sequence[Any]) -> list[float]:
        numbers = []
        for cell in cells:
            text = "" if cell is None else str(cell).strip()
            if text.lower() in UNKNOWN:
                continue
            number = parse_number(text)
            if number is None and self._may_have_commas and COMMA.fullmatch(text):
                number, self._commas = float(text.replace(",", ".")), True
            if number is None:
                self._text = True
                return []
            numbers.append(number)
        return numbers

    def column(self) -> Column:
        """The column, once all cells were taken."""
        if self._text:
            return Column(name=self.name, kind="text")
        if not self._filled:
            return Column(name=self.name, kind="empty")
        return Column(name=self.name, kind="number", min=self._min, max=self._max, decimal_comma=self._commas)
