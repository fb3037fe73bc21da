"""Ground truth that a person makes from the tracker's own boxes, without the page."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import numpy as np
import pytest
from rendered_film import Film

from tracker.annotation.command import annotate
from tracker.annotation.course import course, truth_frames
from tracker.annotation.labels import Labels, Stand, Vehicle
from tracker.annotation.proposals import key_frames, proposed
from tracker.annotation.server import AnnotationServer
from tracker.annotation.session import Session
from tracker.annotation.view import View
from tracker.contract import Report, StageFiles
from tracker.errors import InputMissing, ParameterInvalid
from tracker.geometry import angle_between
from tracker.proxy import open_proxy
from tracker.simulation.evaluation import evaluate
from tracker.tables import groups, read_table

EVERY = 5


@pytest.fixture(scope="module")
def server(film: Film, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnnotationServer]:
    """One session for all tests of this module, which undo what they do."""
    files = StageFiles(film.outputs, film.outputs, film.outputs)
    with open_proxy(files) as proxy:
        labels = proposed(files, key_frames(proxy.times_s, EVERY, 0.0, None))
        path = tmp_path_factory.mktemp("truth") / "labels.json"
        with AnnotationServer(Session(labels, View.of(proxy, files), path), proxy, 0) as server:
            thread = Thread(target=server.serve_forever)
            thread.start()
            yield server
            server.shutdown()
            thread.join()


@pytest.fixture
def session(server: AnnotationServer) -> Iterator[Session]:
    labels = server.session.labels
    yield server.session
    server.session.labels = labels


def box_of(session: Session, number: int, frame: int) -> dict[str, Any]:
    return next(box for box in session.boxes(frame) if box["vehicle"] == number)


def seen_for_long(session: Session) -> tuple[int, Vehicle, int]:
    """A vehicle on many key frames, and one in the middle of them."""
    number, vehicle = max(session.labels.vehicles.items(), key=lambda item: len(item[1].stands))
    frames = sorted(vehicle.stands)
    return number, vehicle, frames[len(frames) // 2]


def test_proposals_that_are_all_right_agree_with_the_trajectories(session: Session, film: Film, tmp_path: Path) -> None:
    for frame in session.labels.frames:
        session.do({"act": "check", "frame": frame})
    session.write_truth(tmp_path / "truth.csv")
    figures = evaluate(film.outputs / "export_trajectories" / "trajectories.csv", tmp_path / "truth.csv")
    assert figures.mota > 99
    assert figures.identity_switches == 0
    assert figures.position_error_p95_m < 0.05
    assert figures.speed_error_median_km_h < 0.5


def test_the_course_between_every_fifth_true_place_is_within_a_few_centimetres_of_the_truth(film: Film) -> None:
    truth = read_table(film.directory / "truth.csv")
    times_s = np.unique(truth["time_s"])
    compared = 0
    for rows in groups(truth, "vehicle_id").values():
        frames, places = rows["frame"], np.column_stack([rows["x_m"], rows["y_m"]])
        stands = {
            int(frame): Stand(*place, heading)
            for frame, place, heading in list(
                zip(frames, places.tolist(), np.radians(rows["heading_deg"]).tolist(), strict=True)
            )[::EVERY]
        }
        vehicle = Vehicle("car", 4.5, 1.8, stands)
        inside = frames <= vehicle.last
        found, speeds = course(vehicle, times_s, frames[inside])
        if len(stands) < 3:
            continue
        compared += 1
        assert np.hypot(*(found[:, :2] - places[inside]).T).max() < 0.1
        assert np.abs(speeds - rows["speed_m_s"][inside]).mean() < 0.2
    assert compared >= 10


def test_a_moved_box_is_where_it_was_put_and_keeps_the_size_of_its_vehicle(session: Session) -> None:
    number, vehicle, frame = seen_for_long(session)
    before = box_of(session, number, frame)
    moved = {"x": before["x"] + 30, "y": before["y"] - 20, "angle": before["angle"] + 0.3}
    session.do({"act": "move", "frame": frame, "vehicle": number, **moved})
    after = box_of(session, number, frame)
    assert (after["x"], after["y"]) == pytest.approx((moved["x"], moved["y"]), abs=0.3)
    assert angle_between(after["angle"], moved["angle"]) == pytest.approx(0, abs=0.02)
    assert (after["length_m"], after["width_m"]) == (vehicle.length_m, vehicle.width_m)


def test_a_longer_front_is_longer_on_every_frame_and_the_rear_stays(session: Session) -> None:
    number, vehicle, frame = seen_for_long(session)
    other = max(vehicle.stands)
    before = [box_of(session, number, each) for each in (frame, other)]
    longer, ahead = 1.2 * before[0]["length"], (np.cos(before[0]["angle"]), np.sin(before[0]["angle"]))
    shift = (longer - before[0]["length"]) / 2
    place = {"x": before[0]["x"] + shift * ahead[0], "y": before[0]["y"] + shift * ahead[1]}
    session.do({"act": "resize", "frame": frame, "vehicle": number, **before[0], **place, "length": longer})
    after = [box_of(session, number, each) for each in (frame, other)]
    assert after[0]["length"] == pytest.approx(longer, abs=0.5)
    for old, new in zip(before, after, strict=True):
        assert new["length_m"] > old["length_m"] + 0.5
        assert rear_of(new) == pytest.approx(rear_of(old), abs=1.0)


def rear_of(box: dict[str, Any]) -> tuple[float, float]:
    half = box["length"] / 2
    return box["x"] - half * np.cos(box["angle"]), box["y"] - half * np.sin(box["angle"])


def test_another_class_keeps_what_is_seen(session: Session) -> None:
    number, _, frame = seen_for_long(session)
    before = box_of(session, number, frame)
    session.do({"act": "class", "frame": frame, "vehicle": number, "class": "truck_bus"})
    after = box_of(session, number, frame)
    assert after["class"] == "truck_bus"
    for name in ("x", "y", "length", "width"):
        assert after[name] == pytest.approx(before[name], abs=0.5)


def test_a_vehicle_can_be_divided_joined_again_and_cut(session: Session) -> None:
    number, vehicle, frame = seen_for_long(session)
    session.do({"act": "divide", "frame": frame, "vehicle": number})
    other = max(session.labels.vehicles)
    assert session.labels.vehicles[number].last < frame == session.labels.vehicles[other].first
    session.do({"act": "join", "frame": frame, "vehicle": number, "other": other})
    assert session.labels.vehicles[number].stands == vehicle.stands
    assert other not in session.labels.vehicles
    session.do({"act": "begin", "frame": frame, "vehicle": number})
    session.do({"act": "end", "frame": frame, "vehicle": number})
    assert list(session.labels.vehicles[number].stands) == [frame]


def test_a_vehicle_that_is_added_twice_is_seen_in_between(session: Session) -> None:
    first, last = session.labels.frames[2], session.labels.frames[4]
    drawn = {"class": "car", "x": 300.0, "y": 300.0, "angle": 0.0, "length": 60.0, "width": 26.0}
    session.do({"act": "add", "frame": first, **drawn})
    number = max(session.labels.vehicles)
    session.do({"act": "place", "frame": last, "vehicle": number, "x": 340.0, "y": 300.0})
    between = box_of(session, number, session.labels.frames[3])
    assert between["state"] == "between"
    assert 310 < between["x"] < 330
    beyond = box_of(session, number, session.labels.frames[5])
    assert beyond["state"] == "beyond"
    assert 350 < beyond["x"] < 370
    session.do({"act": "move", "frame": session.labels.frames[5], "vehicle": number, **beyond})
    assert box_of(session, number, session.labels.frames[5])["state"] == "placed"


def test_a_vehicle_that_is_half_out_of_the_picture_may_be_placed_there(session: Session) -> None:
    first, second, third, fourth = session.labels.frames[:4]
    session.do(
        {"act": "add", "frame": first, "class": "car"}
        | {"x": 90.0, "y": 300.0, "angle": np.pi, "length": 60.0, "width": 26.0}
    )
    number = max(session.labels.vehicles)
    session.do({"act": "place", "frame": second, "vehicle": number, "x": 40.0, "y": 300.0})
    assert box_of(session, number, third)["state"] == "beyond"
    assert box_of(session, number, third)["x"] < 0
    session.do({"act": "place", "frame": third, "vehicle": number, "x": -10.0, "y": 300.0})
    assert number not in {box["vehicle"] for box in session.boxes(fourth)}


def test_every_act_can_be_undone(session: Session) -> None:
    number, vehicle, frame = seen_for_long(session)
    session.do({"act": "delete", "frame": frame, "vehicle": number})
    assert number not in session.labels.vehicles
    session.do({"act": "undo", "frame": frame})
    assert session.labels.vehicles[number] == vehicle


def test_only_checked_frames_and_those_between_two_of_them_are_ground_truth(session: Session, tmp_path: Path) -> None:
    assert "No frame was checked" in session.write_truth(tmp_path / "truth.csv")
    assert not (tmp_path / "truth.csv").exists()
    for index in (0, 1, 4):
        session.do({"act": "check", "frame": session.labels.frames[index]})
    assert truth_frames(session.labels) == [*range(EVERY + 1), 4 * EVERY]
    session.write_truth(tmp_path / "truth.csv")
    assert set(read_table(tmp_path / "truth.csv")["frame"]) == {*range(EVERY + 1), 4 * EVERY}


def test_when_a_vehicle_comes_between_two_frames_is_not_known_and_does_not_count(
    session: Session, tmp_path: Path
) -> None:
    number, _, frame = seen_for_long(session)
    for each in session.labels.frames:
        session.do({"act": "check", "frame": each})
    session.do({"act": "begin", "frame": frame, "vehicle": number})
    session.write_truth(tmp_path / "truth.csv")
    truth = read_table(tmp_path / "truth.csv")
    own = truth["vehicle_id"] == number
    before = dict(zip(truth["frame"][own].tolist(), truth["visible"][own].tolist(), strict=True))
    assert min(before) == frame - EVERY + 1
    assert [before[each] for each in range(frame - EVERY + 1, frame)] == [0] * (EVERY - 1)


def test_labels_are_the_same_after_they_were_written_and_read(session: Session, tmp_path: Path) -> None:
    session.labels.write(tmp_path / "first.json")
    read = Labels.read(tmp_path / "first.json")
    read.write(tmp_path / "second.json")
    assert (tmp_path / "first.json").read_bytes() == (tmp_path / "second.json").read_bytes()
    assert read.vehicles.keys() == session.labels.vehicles.keys()


@pytest.mark.parametrize(
    ("act", "said"),
    [
        ({}, "None is no act"),
        ({"act": "undo"}, "there is nothing to undo"),
        ({"act": "move", "vehicle": 999, "x": 1, "y": 1, "angle": 0}, "there is no vehicle 999"),
        ({"act": "delete", "vehicle": "1"}, "vehicle is '1'"),
        ({"act": "add", "class": "car", "x": 1, "y": 1, "angle": 0, "length": 1, "width": 1}, "this box is only"),
        ({"act": "add", "class": "tank", "x": 1, "y": 1, "angle": 0, "length": 9, "width": 9}, "'tank' is no class"),
        ({"act": "add", "class": "car", "x": float("nan"), "y": 1, "angle": 0, "length": 9, "width": 9}, "x is nan"),
    ],
)
def test_an_act_that_cannot_be_done_says_why_and_changes_nothing(
    act: dict[str, Any], said: str, server: AnnotationServer, tmp_path: Path
) -> None:
    session = Session(server.session.labels, server.session.view, tmp_path / "labels.json")
    with pytest.raises(ParameterInvalid, match=said):
        session.do({"frame": 0, **act})
    assert session.labels is server.session.labels
    assert not (tmp_path / "labels.json").exists()


def test_labels_of_another_film_and_damaged_ones_are_refused(film: Film, tmp_path: Path, session: Session) -> None:
    other = Labels({**session.labels.film, "frames": 7}, session.labels.frames, {}, frozenset())
    other.write(tmp_path / "labels.json")
    with pytest.raises(ParameterInvalid, match="belong to another film"):
        annotate(film.outputs, tmp_path, Report())
    with pytest.raises(ParameterInvalid, match="has labels already"):
        annotate(film.outputs, tmp_path, Report(), every=3)
    (tmp_path / "labels.json").write_text(json.dumps({"film": {}, "frames": [0]}))
    with pytest.raises(InputMissing, match="was not written by tracker annotate"):
        annotate(film.outputs, tmp_path, Report())


def test_a_part_of_the_film_that_has_no_frames_is_refused(film: Film, tmp_path: Path) -> None:
    with pytest.raises(ParameterInvalid, match="there are 0 frames to label from 100 s on"):
        annotate(film.outputs, tmp_path, Report(), from_s=100)


def test_frames_are_served_to_who_knows_the_secret_only(server: AnnotationServer) -> None:
    with urllib.request.urlopen(f"{server.address}frames/{EVERY}.jpg") as answer:
        picture = cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (server.session.view.height_px, server.session.view.width_px, 3)
    home = server.address.replace(server.secret, "")
    for address in (home, f"{home}x/", f"{server.address}frames/1.jpg", f"{server.address}../../etc/passwd"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address)
        assert refused.value.code == 404
        refused.value.close()
