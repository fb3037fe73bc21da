"""Features of a GeoJSON file as rows, one after the other, so that a file of any size takes little memory."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from winslow_dagster.errors import InputRejected

PART_BYTES = 1 << 18
LONGEST_FEATURE = 16 << 20
HEADER = ("type", "x_min", "y_min", "x_max", "y_max", "properties", "geometry")
SPACE = re.compile(r"[\s,\x1e]*")
FEATURES = re.compile(r'"features"\s*:\s*\[')
DEPTH_MOST = 5
GEOMETRIES = frozenset(
    {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"}
)


def read_geojson(file: BinaryIO) -> Iterator[list[Any]]:
    """One row per feature of a collection, of a sequence of features, or of a single geometry. Raises InputRejected."""
    for value in _values(file):
        yield from _rows_of(value)


def _rows_of(value: Any) -> Iterator[list[Any]]:
    if not isinstance(value, dict):
        raise InputRejected("it is not GeoJSON", expected="an object with a `type`")
    kind = value.get("type")
    if kind == "FeatureCollection" and isinstance(value.get("features"), list):
        for feature in value["features"]:
            yield from _rows_of(feature)
        return
    geometry = value if kind in GEOMETRIES else value.get("geometry") if kind == "Feature" else None
    if kind != "Feature" and geometry is None:
        raise InputRejected("it is not GeoJSON", expected="features, geometries or a collection of features")
    properties = value.get("properties") if kind == "Feature" else None
    properties = properties if isinstance(properties, dict) else {}
    if not isinstance(geometry, dict) or geometry.get("type") not in GEOMETRIES:
        yield ["", None, None, None, None, json.dumps(properties, ensure_ascii=False), ""]
        return
    xs: list[float] = []
    ys: list[float] = []
    _positions(geometry.get("geometries") or geometry.get("coordinates"), xs, ys, DEPTH_MOST)
    box = [min(xs), min(ys), max(xs), max(ys)] if xs else [None] * 4
    yield [
        geometry["type"],
        *box,
        json.dumps(properties, ensure_ascii=False),
        json.dumps(geometry, separators=(",", ":")),
    ]


def _positions(value: Any, xs: list[float], ys: list[float], depth: int) -> None:
    if isinstance(value, dict):
        value = value.get("coordinates")
    if not isinstance(value, list) or not value:
        return
    if all(isinstance(each, int | float) and not isinstance(each, bool) for each in value[:2]):
        if len(value) > 1 and math.isfinite(value[0]) and math.isfinite(value[1]):
            xs.append(value[0])
            ys.append(value[1])
    elif depth:
        for each in value:
            _positions(each, xs, ys, depth - 1)


def _values(file: BinaryIO) -> Iterator[Any]:
    """The features of a collection one by one; other values whole."""
    text = _Text(file)
    text.read_on()
    inside = text.enter(FEATURES)
    while True:
        while text.skip(SPACE) == "":
            if not text.read_on():
                if inside:
                    raise InputRejected("it ends within its features", expected="a complete GeoJSON file")
                return
        if inside and text.skip(SPACE) == "]":
            return
        yield text.value()


class _Text:
    """The text of a file, of which only the part that is being looked at is kept."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._parse = json.JSONDecoder(parse_constant=lambda _: None).raw_decode
        self._text, self._at, self._ended = "", 0, False

    def read_on(self) -> bool:
        """Read a further part. Returns whether there was one."""
        if self._ended:
            return False
        part = self._file.read(max(PART_BYTES, len(self._text) - self._at))
        self._ended = not part
        self._text, self._at = self._text[self._at :] + self._decoder.decode(part, final=self._ended), 0
        return not self._ended

    def enter(self, start: re.Pattern[str]) -> bool:
        """Go on after the first match, if the text is an object."""
        found = start.search(self._text)
        if found is None or not self._text.lstrip().startswith("{"):
            return False
        self._at = found.end()
        return True

    def skip(self, space: re.Pattern[str]) -> str:
        """The first character after the space; empty at the end of what was read."""
        if (found := space.match(self._text, self._at)) is not None:
            self._at = found.end()
        return self._text[self._at : self._at + 1]

    def value(self) -> Any:
        """The value that begins here. Raises InputRejected."""
        while True:
            try:
                value, self._at = self._parse(self._text, self._at)
            except RecursionError:
                raise InputRejected("it is nested too deeply", expected="GeoJSON") from None
            except ValueError as error:
                if len(self._text) - self._at > LONGEST_FEATURE:
                    raise InputRejected(
                        f"a part of it is longer than {LONGEST_FEATURE:,} characters", expected="GeoJSON"
                    ) from error
                if not self.read_on():
                    raise InputRejected(f"it is not JSON: {error}", expected="GeoJSON") from error
            else:
                return value
