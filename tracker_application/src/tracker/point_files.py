"""Reads files of reference points: our own JSON, a CSV table, or the points of QGIS's georeferencer.

A table has a header with our names: x_px, y_px, and x_m, y_m or latitude_deg, longitude_deg, and name. Its columns are
separated by commas, semicolons or tabs. Files of QGIS have `mapX,mapY,sourceX,sourceY,enable` (or `pixelX,pixelY`).
"""

from __future__ import annotations

import codecs
import csv
import json
from pathlib import Path
from typing import Any

from tracker.errors import PointsInvalid

COLUMNS = ("name", "x_px", "y_px", "x_m", "y_m", "latitude_deg", "longitude_deg")
QGIS_PLACE = ("mapx", "mapy")
QGIS_PIXELS = (("sourcex", "sourcey"), ("pixelx", "pixely"))
# How QGIS begins a coordinate system in degrees.
DEGREES = ("GEOGCRS", "GEOGCS", "EPSG:4326")
# QGIS counts pixels from the corner of the picture, and upwards.
CENTRE_OF_A_PIXEL = 0.5
EXPECTED = f"Expected our JSON, QGIS points, or a CSV table with some of the columns {', '.join(COLUMNS)}"


def content_of(path: Path) -> Any:
    """The content of a points file in the structure of our JSON. Raises PointsInvalid."""
    text = _text(path)
    if path.suffix.lower() == ".json" or text.lstrip()[:1] in {"{", "["}:
        try:
            return json.loads(text)
        except ValueError as error:  # also numbers of too many digits
            raise PointsInvalid(f"{path.name} is not valid JSON: {error}") from error
    return {"points": _points_of_table(text, path.name)}


def _text(path: Path) -> str:
    """With or without a byte order mark, which some editors write."""
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise PointsInvalid(f"{path.name} is not text in UTF-8", remedy="Save it in UTF-8") from error


def _points_of_table(text: str, name: str) -> list[dict[str, Any]]:
    comments = [line for line in text.splitlines() if line.startswith("#")]
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise PointsInvalid(f"{name} is empty", remedy=EXPECTED)
    separator = max(",;\t", key=lines[0].count)
    header, *rows = csv.reader(lines, delimiter=separator)
    names = [cell.strip() for cell in header]
    short = [cell.lower() for cell in names]
    from_qgis = set(QGIS_PLACE) <= set(short)
    unknown = [] if from_qgis else [cell for cell in names if cell and cell.lower() not in COLUMNS]
    if unknown or not (from_qgis or {"x_px", "y_px"} <= set(short)):
        shown = ", ".join(unknown or names)
        raise PointsInvalid(f"{name} has the column{'s' * (len(unknown or names) > 1)} {shown}", remedy=EXPECTED)
    in_degrees = any(sign in comment.upper() for comment in comments for sign in DEGREES)
    points = []
    for number, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise PointsInvalid(
                f"row {number} of {name} has {len(row)} columns, but the header has {len(names)}",
                remedy="In a table with commas, write decimals with points",
            )
        cells = dict(zip(short, (cell.strip() for cell in row), strict=True))
        where = f"row {number} of {name}"
        if from_qgis:
            points += _of_qgis(cells, in_degrees, where)
        else:
            points.append(_point(cells, where))
    return points


def _point(cells: dict[str, str], where: str) -> dict[str, Any]:
    numbers = {key: _number(cells[key], key, where) for key in COLUMNS[1:] if cells.get(key)}
    return ({"name": cells["name"]} if cells.get("name") else {}) | numbers


def _of_qgis(cells: dict[str, str], in_degrees: bool, where: str) -> list[dict[str, Any]]:  # noqa: FBT001  of the file
    """The point of a row; none if it is switched off."""
    if cells.get("enable", "1") == "0":
        return []
    across, down = next((pair for pair in QGIS_PIXELS if set(pair) <= cells.keys()), QGIS_PIXELS[0])
    pixels = {
        "x_px": _number(cells.get(across, ""), "sourceX", where) - CENTRE_OF_A_PIXEL,
        "y_px": -_number(cells.get(down, ""), "sourceY", where) - CENTRE_OF_A_PIXEL,
    }
    east, north = ("longitude_deg", "latitude_deg") if in_degrees else ("x_m", "y_m")
    place = {east: _number(cells["mapx"], "mapX", where), north: _number(cells["mapy"], "mapY", where)}
    return [pixels | place]


def _number(text: str, column: str, where: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise PointsInvalid(f"{column} is {text!r} in {where}", remedy="Expected a number") from None
