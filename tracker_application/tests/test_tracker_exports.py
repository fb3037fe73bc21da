"""The formats of other programs, read back as those programs read them."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import shapely
from rendered_film import Film

from tracker.cli import main
from tracker.geodesy import Plane
from tracker.geometry import transform
from tracker.ground import Ground
from tracker.homographies import read_homographies
from tracker.tables import read_table

HIGHD = (
    "frame,id,x,y,width,height,xVelocity,yVelocity,xAcceleration,yAcceleration,frontSightDistance,backSightDistance,"
    "dhw,thw,ttc,precedingXVelocity,precedingId,followingId,leftPrecedingId,leftAlongsideId,leftFollowingId,"
    "rightPrecedingId,rightAlongsideId,rightFollowingId,laneId"
)
IND = (
    "recordingId,trackId,frame,trackLifetime,xCenter,yCenter,heading,width,length,xVelocity,yVelocity,xAcceleration,"
    "yAcceleration,lonVelocity,latVelocity,lonAcceleration,latAcceleration"
)
GEO_TRAX = (
    "Vehicle_ID,Timestamp,Frame_Number,Ortho_X,Ortho_Y,Local_X,Local_Y,Latitude,Longitude,Vehicle_Length,Vehicle_Width,"
    "Vehicle_Class,Vehicle_Speed,Vehicle_Acceleration,Road_Section,Lane_Number,Visibility"
)
PLANE = Plane(50.7785, 6.0665)


@pytest.fixture(scope="module")
def outputs(film: Film) -> Path:
    return film.outputs / "export_trajectories"


@pytest.fixture(scope="module")
def on_earth(film: Film, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same trajectories with georeferenced metres; five rows per second."""
    outputs = tmp_path_factory.mktemp("earth") / "outputs"
    for stage in ("track_reference_points", "estimate_camera", "detect_lanes"):
        shutil.copytree(film.outputs / stage, outputs / stage)
    path = outputs / "estimate_camera" / "ground.json"
    dataclasses.replace(Ground.read(path), plane=PLANE).write(path)
    words = ["--input", str(outputs), "--output", str(outputs / "export"), "--export-rate-hz", "5"]
    assert main(["export-trajectories", *words]) == 0
    return outputs / "export"


def _header(path: Path) -> str:
    return path.read_text().splitlines()[0]


def test_headers_match_the_datasets(outputs: Path) -> None:
    assert _header(outputs / "highd" / "01_tracks.csv") == HIGHD
    assert _header(outputs / "ind" / "01_tracks.csv") == IND
    assert _header(outputs / "geo_trax.csv") == GEO_TRAX


def test_ind_and_highd_have_all_rows_and_consistent_boxes(outputs: Path) -> None:
    whole = read_table(outputs / "trajectories.csv")
    ind, highd = read_table(outputs / "ind" / "01_tracks.csv"), read_table(outputs / "highd" / "01_tracks.csv")
    assert len(whole["frame"]) == len(ind["frame"]) == len(highd["frame"])
    assert np.array_equal(highd["frame"], ind["frame"] + 1)
    assert np.abs(np.hypot(ind["lonVelocity"], ind["latVelocity"]) * 3.6 - whole["speed_km_h"]).max() < 0.01
    middle = highd["x"] + highd["width"] / 2
    assert np.ptp(middle - ind["xCenter"]) < 0.01
    assert np.ptp(highd["y"] + highd["height"] / 2 + ind["yCenter"]) < 0.01
    assert min(highd["x"].min(), highd["y"].min()) == pytest.approx(0, abs=0.01)


def test_preceding_and_following_vehicles_are_consistent(outputs: Path) -> None:
    table = read_table(outputs / "highd" / "01_tracks.csv")
    behind = {(f, i): b for f, i, b in zip(table["frame"], table["id"], table["followingId"], strict=True)}
    pairs = [(f, i, a) for f, i, a in zip(table["frame"], table["id"], table["precedingId"], strict=True) if a]
    assert len(pairs) > 20
    assert all(behind[frame, ahead] == number for frame, number, ahead in pairs)


def test_mot_boxes_use_the_pixels_of_their_own_frame(film: Film, outputs: Path) -> None:
    rows = np.loadtxt(outputs / "mot" / "tracks.txt", delimiter=",")
    whole = read_table(outputs / "trajectories.csv")
    _, matrices = read_homographies(film.outputs / "track_reference_points" / "homographies.csv")
    boxes = {(int(row[0]) - 1, int(row[1])): row[2:6] for row in rows}
    assert len(boxes) == len(whole["frame"])
    for index in range(0, len(whole["frame"]), 25):
        frame = int(whole["frame"][index])
        place = np.array([[whole["reference_x_px"][index], whole["reference_y_px"][index]]])
        x, y = transform(np.linalg.inv(matrices[frame]), place)[0] + 1
        left, top, width, height = boxes[frame, int(whole["track_id"][index])]
        assert left < x < left + width
        assert top < y < top + height


def test_geojson_without_degrees_says_so(outputs: Path) -> None:
    whole = json.loads((outputs / "trajectories.geojson").read_text())
    assert "local metres" in whole["coordinate_system"]
    for feature in whole["features"]:
        assert len(feature["geometry"]["coordinates"]) == len(feature["properties"]["times_s"])


def test_degrees_agree_in_all_formats(on_earth: Path) -> None:
    whole = json.loads((on_earth / "trajectories.geojson").read_text())
    trajectories = read_table(on_earth / "trajectories.csv")
    first = trajectories["track_id"] == whole["features"][0]["id"]
    line = np.array(whole["features"][0]["geometry"]["coordinates"])
    assert np.abs(line[:, 1] - trajectories["latitude_deg"][first]).max() < 1e-7
    assert np.abs(line[:, 0] - trajectories["longitude_deg"][first]).max() < 1e-7
    metres = PLANE.metres(line[:, ::-1])
    assert np.abs(metres[:, 0] - trajectories["x_m"][first]).max() < 0.01
    assert "WGS84" in whole["coordinate_system"]
    meta = (on_earth / "ind" / "01_recordingMeta.csv").read_text()
    assert "50.7785" in meta


def test_exported_frames_follow_the_requested_rate(on_earth: Path) -> None:
    assert "frameRate=5" in (on_earth / "mot" / "seqinfo.ini").read_text()
    table = (on_earth / "ind" / "01_tracks.csv").read_text().splitlines()[1:]
    frames = [int(row.split(",")[2]) for row in table if row.split(",")[1] == "1"]
    assert set(np.diff(frames)) == {1}


@pytest.mark.parametrize(("where", "srs_id"), [("outputs", -1), ("on_earth", 32632)])
def test_a_geopackage_has_the_tables_and_geometries_of_the_standard(
    where: str, srs_id: int, request: pytest.FixtureRequest
) -> None:
    directory: Path = request.getfixturevalue(where)
    whole = read_table(directory / "trajectories.csv")
    with closing(sqlite3.connect(directory / "trajectories.gpkg")) as database:
        assert database.execute("PRAGMA application_id").fetchone() == (0x47504B47,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        systems = {row[0] for row in database.execute("SELECT srs_id FROM gpkg_spatial_ref_sys")}
        assert systems >= {-1, 0, 4326, srs_id}
        layers = dict(database.execute("SELECT table_name, srs_id FROM gpkg_geometry_columns").fetchall())
        assert layers == dict.fromkeys(("trajectories", "positions", "lanes"), srs_id)
        blobs = database.execute("SELECT geom FROM positions ORDER BY fid").fetchall()
    assert blobs[0][0][:4] == b"GP\x00\x03"
    assert struct.unpack_from("<i", blobs[0][0], 4) == (srs_id,)
    points = np.array([shapely.from_wkb(blob[40:]).coords[0] for (blob,) in blobs])
    names = ("utm_east_m", "utm_north_m") if srs_id > 0 else ("x_m", "y_m")
    assert np.abs(points - np.column_stack([whole[name] for name in names])).max() < 0.001


def test_only_the_requested_formats_are_written(film: Film, tmp_path: Path) -> None:
    words = ["export-trajectories", "--input", str(film.outputs), "--output", str(tmp_path / "out")]
    assert main([*words, "--formats", "mot, geojson"]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "mot", "trajectories.geojson", "trajectories.csv", "vehicles.csv",
    }  # fmt: skip
    assert main([*words, "--formats", "shapefile"]) == 2
