"""All stages on a rendered film, compared with the ground truth."""

from __future__ import annotations

import json

import av
import cv2
import numpy as np
from rendered_film import Film

from tracker.cli import main
from tracker.geometry import transform
from tracker.homographies import read_homographies
from tracker.simulation.evaluation import evaluate
from tracker.stages import STAGES
from tracker.tables import read_table


def test_the_trajectories_are_near_the_truth(film: Film) -> None:
    figures = evaluate(film.outputs / "export_trajectories" / "trajectories.csv", film.directory / "truth.csv")
    print(figures)
    assert figures.vehicles >= 12
    assert figures.vehicles_found >= 0.8
    assert figures.recall >= 0.75
    assert figures.precision >= 0.9
    assert figures.position_error_median_m <= 0.25
    assert figures.speed_error_median_km_h <= 1.0


def test_frames_are_registered_to_a_fraction_of_a_pixel(film: Film) -> None:
    _, found = read_homographies(film.outputs / "track_reference_points" / "homographies.csv")
    truth = read_table(film.directory / "camera_truth.csv")
    entries = [f"h{row}{column}" for row in (1, 2, 3) for column in (1, 2, 3)]
    ground_to_pixels = np.column_stack([truth[name] for name in entries]).reshape(-1, 3, 3)
    width, height = film.size
    grid = np.stack(np.meshgrid(np.linspace(60, width - 60, 7), np.linspace(60, height - 60, 5)), -1).reshape(-1, 2)
    errors = []
    for matrix, true in zip(found, ground_to_pixels, strict=True):
        in_frame = transform(true @ np.linalg.inv(ground_to_pixels[0]), grid)
        errors.append(np.hypot(*(transform(matrix, in_frame) - grid).T).mean())
    print(f"registration error: mean {np.mean(errors):.3f} px, worst frame {np.max(errors):.3f} px")
    assert np.mean(errors) < 0.3
    assert np.max(errors) < 1.0


def test_the_camera_position_is_accurate_to_half_a_per_cent_of_its_height(film: Film) -> None:
    words = [
        "--input",
        str(film.outputs),
        "--output",
        str(film.outputs.parent / "camera"),
        "--horizontal-fov-deg",
        "73.7",
    ]
    assert main(["estimate-camera", *words]) == 0
    found = read_table(film.outputs.parent / "camera" / "camera.csv")
    truth = read_table(film.directory / "camera_truth.csv")
    off = np.linalg.norm([found[name] - truth[name] for name in ("x_m", "y_m", "z_m")], axis=0) / truth["z_m"]
    print(f"camera: {100 * off.mean():.3f} % of its height off, at most {100 * off.max():.3f} %")
    assert off.max() < 0.005


def test_trajectories_have_units_in_their_header_and_one_row_per_frame(film: Film) -> None:
    table = read_table(film.outputs / "export_trajectories" / "trajectories.csv")
    assert {"time_s", "x_m", "y_m", "speed_km_h", "heading_deg", "lane_id", "class"} <= set(table)
    for number in np.unique(table["track_id"]):
        assert set(np.diff(table["frame"][table["track_id"] == number])) <= {1}


def test_the_result_video_is_seekable_h264_with_the_films_duration(film: Film) -> None:
    with av.open(str(film.outputs / "record_video" / "result.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        key_frames = [packet.pts * packet.time_base for packet in container.demux(stream) if packet.is_keyframe]
        assert stream.frames == 120
    assert max(np.diff([float(time) for time in key_frames])) <= 1.01
    content = (film.outputs / "record_video" / "result.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), (
        "the index is at the front, so that players can start at once"
    )


def test_the_result_video_shows_boxes_where_vehicles_are(film: Film) -> None:
    tracks = read_table(film.outputs / "detect_lanes" / "tracks.parquet")
    frame = int(np.bincount(tracks["frame"]).argmax())
    pictures = []
    for path in (film.video, film.outputs / "record_video" / "result.mp4"):
        with av.open(str(path)) as container:
            pictures.append(
                next(f for n, f in enumerate(container.decode(video=0)) if n == frame).to_ndarray(format="bgr24")
            )
    changed = cv2.absdiff(*pictures).max(axis=2) > 60
    assert 0.003 < changed.mean() < 0.2


def test_lanes_follow_the_vehicles(film: Film) -> None:
    lanes = json.loads((film.outputs / "detect_lanes" / "lanes.geojson").read_text())["features"]
    assert len(lanes) >= 3
    for lane in lanes:
        middle = np.array(lane["geometry"]["coordinates"])
        assert lane["properties"]["vehicles"] >= 1
        # On this map straight lanes are 1.75 or 5.25 m from the middle of a road.
        straight = abs(lane["properties"]["first_heading_deg"] - lane["properties"]["last_heading_deg"]) < 10
        if straight:
            beside = np.abs(middle).min(axis=1).mean()
            assert min(abs(beside - 1.75), abs(beside - 5.25)) < 0.6


def test_each_chart_has_a_table_and_is_in_the_report(film: Film) -> None:
    outputs = film.outputs / "create_charts"
    charts = sorted(path.stem for path in outputs.glob("*.png"))
    assert {
        "speed_map", "slow_and_fast_places", "speed_distribution", "acceleration_distribution", "traffic_over_time",
        "flow_and_density", "turning_counts", "lane_counts", "space_time_L1", "headways", "time_to_collision",
        "camera_drift", "quality",
    } <= set(charts)  # fmt: skip
    assert all((outputs / f"{name}.svg").read_text().rstrip().endswith("</svg>") for name in charts)
    assert all(len((outputs / f"{name}.csv").read_text().splitlines()) > 1 for name in charts)
    report = (outputs / "report.html").read_text()
    assert report.count("data:image/png;base64,") == len(charts)
    assert "src=http" not in report.replace('"', "")


def test_every_stage_wrote_into_its_own_directory(film: Film) -> None:
    assert sorted(path.name for path in film.outputs.iterdir()) == sorted(STAGES)
    assert not list(film.outputs.rglob("*.part"))
