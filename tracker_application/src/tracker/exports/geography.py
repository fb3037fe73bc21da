"""Formats for maps: GeoJSON and GeoPackage."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from tracker.arrays import Floats
from tracker.exports.recording import Recording
from tracker.geodesy import WGS84_EPSG

# From the GeoPackage standard 1.3: "GPKG" in the file header, the version, "undefined Cartesian".
APPLICATION_ID, VERSION, UNDEFINED_CARTESIAN = 0x47504B47, 10300, -1
# An envelope of x and y follows the header; little endian.
FLAGS = 0b00000011
NO_DATE = "1970-01-01T00:00:00.000Z"
VEHICLE_COLUMNS = {
    "track_id": "INTEGER", "class": "TEXT", "movement": "TEXT", "lane_id": "TEXT", "length_m": "REAL",
    "width_m": "REAL", "first_time_s": "REAL", "last_time_s": "REAL", "distance_m": "REAL", "mean_speed_km_h": "REAL",
    "max_speed_km_h": "REAL",
}  # fmt: skip
PLACE_COLUMNS = {
    "track_id": "INTEGER", "frame": "INTEGER", "time_s": "REAL", "speed_km_h": "REAL", "acceleration_m_s2": "REAL",
    "heading_deg": "REAL", "lane_id": "TEXT", "class": "TEXT",
}  # fmt: skip
SCHEMA = """
CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY, organization TEXT NOT NULL,
 organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE,
 description TEXT DEFAULT '', last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
 min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
 CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL,
 geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL,
 CONSTRAINT pk_geom_cols PRIMARY KEY (table_name,
 column_name), CONSTRAINT uk_gc_table_name UNIQUE (table_name), CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES
 gpkg_contents(table_name), CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id));
"""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of a GeoPackage; `columns` are the non-geometry columns with their types."""

    name: str
    kind: str
    columns: dict[str, str]


def write_geojson(recording: Recording, output: Callable[[str], Path]) -> None:
    """Write `trajectories.geojson`: one line per vehicle, in degrees, or in local metres without georeference."""
    if recording.degrees is None:
        places, decimals, system = recording.places, 3, "local metres, not WGS84: the reference points have no degrees"
    else:
        places, decimals, system = recording.degrees[:, ::-1], 8, "WGS84, longitude and latitude in degrees (RFC 7946)"
    features = [
        {
            "type": "Feature",
            "id": facts["track_id"],
            "geometry": {"type": "LineString", "coordinates": np.round(_ends(places[rows]), decimals).tolist()},
            "properties": facts
            | {
                "times_s": np.round(_ends(recording.tracks["time_s"][rows]), 4).tolist(),
                "speeds_km_h": np.round(_ends(recording.tracks["speed_m_s"][rows] * 3.6), 2).tolist(),
            },
        }
        for facts, rows in _vehicles(recording)
    ]
    whole = {"type": "FeatureCollection", "coordinate_system": system, "features": features}
    output("trajectories.geojson").write_text(json.dumps(whole) + "\n", encoding="utf-8")


def write_geopackage(recording: Recording, output: Callable[[str], Path]) -> None:
    """Write `trajectories.gpkg`: trajectories, positions and lanes, in UTM, or in local metres without georeference."""
    path = output("trajectories.gpkg")
    path.unlink(missing_ok=True)
    plane = recording.ground.plane
    srs_id = UNDEFINED_CARTESIAN if plane is None else plane.utm_epsg
    moved: Callable[[Floats], Floats] = (lambda metres: metres) if plane is None else plane.utm
    places, tracks = moved(recording.places), recording.tracks
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {VERSION}")
        database.executescript(SCHEMA)
        _write_systems(database, srs_id)
        vehicles = _vehicles(recording)
        ways = [shapely.LineString(_ends(places[rows])) for _, rows in vehicles]
        attributes = [tuple(facts.values()) for facts, _ in vehicles]
        _write_layer(database, Layer("trajectories", "LINESTRING", VEHICLE_COLUMNS), srs_id, ways, attributes)
        values = tracks | {"speed_km_h": tracks["speed_m_s"] * 3.6}
        attributes = list(zip(*(values[name].tolist() for name in PLACE_COLUMNS), strict=True))
        _write_layer(database, Layer("positions", "POINT", PLACE_COLUMNS), srs_id, shapely.points(places), attributes)
        middles = [shapely.LineString(moved(middle)) for middle in recording.lanes.values()]
        named = [(lane_id,) for lane_id in recording.lanes]
        _write_layer(database, Layer("lanes", "LINESTRING", {"lane_id": "TEXT"}), srs_id, middles, named)


def _write_systems(database: sqlite3.Connection, srs_id: int) -> None:
    systems = [
        ("Undefined Cartesian", -1, "NONE", -1, "undefined", "metres of the reference points"),
        ("Undefined geographic", 0, "NONE", 0, "undefined", ""),
    ]
    for epsg in dict.fromkeys((WGS84_EPSG, srs_id)):
        if epsg > 0:
            system = CRS.from_epsg(epsg)
            systems.append((system.name, epsg, "EPSG", epsg, system.to_wkt("WKT1_GDAL"), ""))
    database.executemany("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)", systems)


def _write_layer(
    database: sqlite3.Connection, layer: Layer, srs_id: int, shapes: Sequence[BaseGeometry], values: Sequence[Any]
) -> None:
    declared = ", ".join(f'"{column}" {of}' for column, of in layer.columns.items())
    database.execute(
        f"CREATE TABLE {layer.name} (fid INTEGER PRIMARY KEY AUTOINCREMENT, geom {layer.kind}, {declared})"
    )
    marks = ", ".join("?" for _ in range(len(layer.columns) + 1))
    named = ", ".join(f'"{column}"' for column in layer.columns)
    drawn = np.array(shapes, object)
    bounds = shapely.bounds(drawn).reshape(-1, 4)
    rows = (
        (_header(box, srs_id) + wkb, *row)
        for box, wkb, row in zip(bounds.tolist(), shapely.to_wkb(drawn).tolist(), values, strict=True)
    )
    database.executemany(f"INSERT INTO {layer.name} (geom, {named}) VALUES ({marks})", rows)  # noqa: S608  our own names
    extent = [*bounds[:, :2].min(axis=0), *bounds[:, 2:].max(axis=0)] if len(bounds) else [None] * 4
    database.execute(
        "INSERT INTO gpkg_contents VALUES (?, 'features', ?, '', ?, ?, ?, ?, ?, ?)",
        (layer.name, layer.name, NO_DATE, *(None if value is None else float(value) for value in extent), srs_id),
    )
    database.execute(
        "INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', ?, ?, 0, 0)", (layer.name, layer.kind, srs_id)
    )


def _header(box: Sequence[float], srs_id: int) -> bytes:
    """The GeoPackage header before a geometry's WKB: version, coordinate system and envelope."""
    min_x, min_y, max_x, max_y = box
    return b"GP" + struct.pack("<BBi4d", 0, FLAGS, srs_id, min_x, max_x, min_y, max_y)


def _ends(values: Floats) -> Floats:
    """At least two points, as a line needs, even if a vehicle has only one row."""
    return values if len(values) > 1 else np.repeat(values, 2, axis=0)


def _vehicles(recording: Recording) -> list[tuple[dict[str, Any], Any]]:
    """Each vehicle's attributes as JSON and SQLite accept them, and its rows."""
    facts = {number: index for index, number in enumerate(recording.vehicles["track_id"])}
    vehicles = []
    for number, part in recording.by_vehicle().items():
        index = facts[number]
        row = {name: recording.vehicles[name][index] for name in VEHICLE_COLUMNS}
        vehicles.append(({name: _plain(value) for name, value in row.items()}, part["row"]))
    return vehicles


def _plain(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value.item() if isinstance(value, np.generic) else value
