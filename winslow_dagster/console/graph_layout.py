"""Where the stages of a pipeline stand in a drawing: in layers from left to right, which wrap as lines of text do.

Pure: names and what comes before them in, positions and paths out. An edge that other edges imply is not drawn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

MOST_COLUMNS = 5
WIDTH = 1076
BOX_HEIGHT = 84
WIDEST_BOX = 240
COLUMN_GAP = 28
ROW_GAP = 20
LANE_HEIGHT = 14
BAND_GAP = 28
GUTTER_STEP = 8
MARGIN = 16
CORNER = 6
SWEEPS = 6

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """One stage. `x` and `y` are its upper left corner; layers count from 0."""

    name: str
    layer: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Edge:
    """A line from a stage to one that follows it, through `points`. `path` is the same with round corners, for SVG."""

    source: str
    target: str
    points: tuple[Point, ...]
    path: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A pipeline as boxes, in the order of its file, and edges."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True)
class _Cell:
    """A place in a layer: a stage, or the lane of an edge that passes the layer."""

    name: str
    target: str = ""

    @property
    def height(self) -> float:
        return LANE_HEIGHT if self.target else BOX_HEIGHT


def draw(after: Mapping[str, Sequence[str]]) -> Drawing:
    """Draw stages, given with those that come directly before each. The same stages give the same drawing."""
    known = {name: [each for each in dict.fromkeys(before) if each in after] for name, before in after.items()}
    layers = _layers(known)
    chains = _chains(_without_implied(known), layers)
    columns = _ordered(_columns(known, layers, chains), chains)
    return _Placing(columns, layers, chains).drawing(list(known))


def _layers(after: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Name -> the length of the longest way to it."""
    found: dict[str, int] = {}
    waiting = list(after)
    while waiting:
        ready = [name for name in waiting if all(each in found for each in after[name])]
        if not ready:
            raise ValueError(f"the stages {', '.join(waiting)} wait for each other")
        for name in ready:
            found[name] = 1 + max((found[each] for each in after[name]), default=-1)
        waiting = [name for name in waiting if name not in found]
    return found


def _without_implied(after: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """The edges without those between stages that a longer way connects, too."""
    ancestors: dict[str, set[str]] = {}
    for name in sorted(after, key=_layers(after).__getitem__):
        ancestors[name] = {each for direct in after[name] for each in (direct, *ancestors[direct])}
    return [
        (before, name)
        for name, direct in after.items()
        for before in direct
        if not any(before in ancestors[other] for other in direct)
    ]


def _chains(edges: Sequence[tuple[str, str]], layers: Mapping[str, int]) -> dict[tuple[str, str], list[_Cell]]:
    """Edge -> its cells: the source, a lane in each layer between, and the target."""
    return {
        (source, target): [
            _Cell(source),
            *(_Cell(source, target) for _ in range(layers[source] + 1, layers[target])),
            _Cell(target),
        ]
        for source, target in edges
    }


def _columns(
    names: Iterable[str],
    layers: Mapping[str, int],
    chains: Mapping[tuple[str, str], list[_Cell]],
) -> list[list[_Cell]]:
    columns: list[list[_Cell]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for name in names:
        columns[layers[name]].append(_Cell(name))
    for (source, _), cells in chains.items():
        for step, cell in enumerate(cells[1:-1], 1):
            columns[layers[source] + step].append(cell)
    return columns


def _ordered(columns: list[list[_Cell]], chains: Mapping[tuple[str, str], list[_Cell]]) -> list[list[_Cell]]:
    """The cells of each layer in an order with few crossings: each near the middle of its neighbours."""
    before: dict[tuple[int, _Cell], list[_Cell]] = defaultdict(list)
    behind: dict[tuple[int, _Cell], list[_Cell]] = defaultdict(list)
    layer_of = {cell: layer for layer, column in enumerate(columns) for cell in column if not cell.target}
    for cells in chains.values():
        first = layer_of[cells[0]]
        for step, (left, right) in enumerate(pairwise(cells)):
            before[first + step + 1, right].append(left)
            behind[first + step, left].append(right)
    best, fewest = columns, _crossings(columns, before)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        columns = _swept(columns, before if forward else behind, forward=forward)
        crossings = _crossings(columns, before)
        if crossings < fewest:
            best, fewest = columns, crossings
    return best


def _swept(
    columns: list[list[_Cell]], neighbours: Mapping[tuple[int, _Cell], list[_Cell]], *, forward: bool
) -> list[list[_Cell]]:
    """Each layer sorted by the middle of its neighbours in the layer before it; backwards, in the one behind it."""
    found = [list(column) for column in columns]
    for layer in range(1, len(found)) if forward else range(len(found) - 2, -1, -1):
        rank = {cell: index for index, cell in enumerate(found[layer - 1 if forward else layer + 1])}
        places = [
            (fmean(rank[each] for each in neighbours[layer, cell]) if (layer, cell) in neighbours else index, index)
            for index, cell in enumerate(found[layer])
        ]
        found[layer] = [found[layer][index] for _, index in sorted(places)]
    return found


def _crossings(columns: list[list[_Cell]], before: Mapping[tuple[int, _Cell], list[_Cell]]) -> int:
    count = 0
    for layer in range(1, len(columns)):
        rank = {cell: index for index, cell in enumerate(columns[layer - 1])}
        ends = [
            (rank[left], right) for right, cell in enumerate(columns[layer]) for left in before.get((layer, cell), ())
        ]
        count += sum(
            1 for i, one in enumerate(ends) for other in ends[i + 1 :] if (one[0] - other[0]) * (one[1] - other[1]) < 0
        )
    return count


class _Placing:
    """Turns ordered layers into positions: `per_band` layers stand side by side, the next ones below them."""

    def __init__(
        self,
        columns: list[list[_Cell]],
        layers: Mapping[str, int],
        chains: Mapping[tuple[str, str], list[_Cell]],
    ) -> None:
        self._columns, self._layers, self._chains = columns, layers, chains
        bands = -(-len(columns) // MOST_COLUMNS) or 1
        self._per_band = max(1, -(-len(columns) // bands))
        self._width = min(WIDEST_BOX, (WIDTH - 2 * MARGIN - (self._per_band - 1) * COLUMN_GAP) / self._per_band)
        self._wraps: dict[int, list[tuple[str, str]]] = defaultdict(list)
        for source, target in chains:
            for layer in range(layers[source], layers[target]):
                if (layer + 1) % self._per_band == 0:
                    self._wraps[layer // self._per_band].append((source, target))
        self._gutters: dict[int, float] = {}
        self._places: dict[tuple[int, _Cell], Point] = {}
        self._height = self._place()

    def _place(self) -> float:
        """Find the upper left corner of each cell. Returns the height of all."""
        top = float(MARGIN)
        for first in range(0, len(self._columns), self._per_band):
            band = self._columns[first : first + self._per_band]
            tallest = max(map(_height, band))
            for offset, column in enumerate(band):
                y = top + (tallest - _height(column)) / 2
                x = MARGIN + offset * (self._width + COLUMN_GAP)
                for cell in column:
                    self._places[first + offset, cell] = (x, y)
                    y += cell.height + ROW_GAP
            number = first // self._per_band
            top += tallest
            self._gutters[number] = top + BAND_GAP / 2
            if first + self._per_band < len(self._columns):
                top += BAND_GAP + GUTTER_STEP * max(0, len(self._wraps[number]) - 1)
        return top + MARGIN

    def drawing(self, names: Sequence[str]) -> Drawing:
        boxes = tuple(
            Box(name, self._layers[name], *self._places[self._layers[name], _Cell(name)], self._width, BOX_HEIGHT)
            for name in names
        )
        edges = []
        for (source, target), cells in self._chains.items():
            points = self._points(source, target, cells)
            edges.append(Edge(source, target, points, path_through(points)))
        width = max((box.x + box.width for box in boxes), default=0) + MARGIN
        return Drawing(width, self._height if boxes else 0, boxes, tuple(edges))

    def _points(self, source: str, target: str, cells: Sequence[_Cell]) -> tuple[Point, ...]:
        first = self._layers[source]
        points: list[Point] = []
        for step, cell in enumerate(cells):
            layer = first + step
            x, y = self._places[layer, cell]
            middle = y + cell.height / 2
            if step:
                points.append((x, middle))
            if step < len(cells) - 1:
                points.append((x + self._width, middle))
                if (layer + 1) % self._per_band == 0:
                    following = cells[step + 1]
                    entry = self._places[layer + 1, following][1] + following.height / 2
                    points += self._around(layer, (source, target), points[-1], entry)
        return tuple(points)

    def _around(self, layer: int, edge: tuple[str, str], begin: Point, entry: float) -> list[Point]:
        """From the right end of a band to the left end of the next one, through the space between them."""
        band = layer // self._per_band
        index = self._wraps[band].index(edge)
        y = self._gutters[band] + GUTTER_STEP * index
        shift = min(MARGIN - 4, 8 + 2 * index)
        right = begin[0] + shift
        return [(right, begin[1]), (right, y), (MARGIN - shift, y), (MARGIN - shift, entry)]


def _height(column: Sequence[_Cell]) -> float:
    return sum(cell.height for cell in column) + ROW_GAP * max(0, len(column) - 1)


def path_through(points: Sequence[Point]) -> str:
    """The SVG path through the points: a curve where it goes aside, else straight lines with round corners."""
    parts = [f"M{_number(points[0][0])} {_number(points[0][1])}"]
    for index in range(1, len(points)):
        (left, above), (x, y) = points[index - 1], points[index]
        if left != x and above != y:
            half = (left + x) / 2
            parts.append(f"C{_number(half)} {_number(above)} {_number(half)} {_number(y)} {_number(x)} {_number(y)}")
            continue
        following = points[index + 1] if index + 1 < len(points) else None
        if following is None or (following[0] != x) == (left != x):
            parts.append(f"L{_number(x)} {_number(y)}")
            continue
        radius = min(CORNER, _length((left, above), (x, y)) / 2, _length((x, y), following) / 2)
        begin, end = _towards((x, y), (left, above), radius), _towards((x, y), following, radius)
        parts.append(
            f"L{_number(begin[0])} {_number(begin[1])}Q{_number(x)} {_number(y)} {_number(end[0])} {_number(end[1])}"
        )
    return "".join(parts)


def _length(one: Point, other: Point) -> float:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _towards(start: Point, end: Point, distance: float) -> Point:
    share = distance / (_length(start, end) or 1)
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
