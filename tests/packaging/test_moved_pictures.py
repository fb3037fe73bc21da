"""The films of real pictures whose vehicles are moved: what the film shows is where the truth says."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from tracker.geometry import corners
from tracker.tables import read_table, select

from bench.tracker_moved.film import MovedFilm, render
from bench.tracker_moved.labels import Driver, RealPicture
from bench.tracker_moved.roads import Road
from bench.tracker_moved.sprites import Label, without

PIXEL_M, RED, GREEN = 0.1, (30, 30, 200), (30, 200, 30)


def picture_of(labels: dict[Label, tuple[int, int, int]], road: Road) -> RealPicture:
    """A grey picture with a rectangle per vehicle; those on the road drive."""
    texture = np.random.default_rng(1).normal(110, 6, (300, 900, 1)).repeat(3, axis=2)
    picture = cv2.GaussianBlur(texture.astype(np.uint8), (0, 0), 1)
    for label, colour in labels.items():
        cv2.fillConvexPoly(picture, np.round(label.outline()).astype(np.int32), colour)
    course = road.on(PIXEL_M)
    places = {label: course.nearest(np.array([label.x, label.y])) for label in labels}
    driving = tuple(Driver(label, 0, *place, 0.0) for label, place in places.items() if abs(place[1]) < road.half_width)
    drivers = [driver.label for driver in driving]
    standing = tuple(label for label in labels if label not in drivers)
    return RealPicture(picture, PIXEL_M, frozenset({"car"}), (course,), standing, driving, np.zeros((0, 4)))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> MovedFilm:
    """Two seconds of a red car that drives and a green one that stands."""
    labels = {Label("car", 350.0, 150.0, 0.0, 44.0, 18.0): RED, Label("car", 450.0, 220.0, 0.0, 44.0, 18.0): GREEN}
    directory = tmp_path_factory.mktemp("moved")
    render(picture_of(labels, Road(((0, 150), (900, 150)), 20, 10)), directory, seconds=2)
    return MovedFilm(directory)


def in_film(film: MovedFilm, places: np.ndarray) -> np.ndarray:
    """Pixels of the first frame, by its reference points."""
    points = json.loads(film.points.read_text())["points"]
    world, pixels = (
        np.array([[point[x], point[y]] for point in points]) for x, y in (("x_m", "y_m"), ("x_px", "y_px"))
    )
    matrix = cv2.findHomography(world, pixels)[0]
    return cv2.perspectiveTransform(places[None].astype(np.float64), matrix)[0]


@pytest.mark.parametrize(("vehicle", "channel"), [(1, 2), (-1, 1)])
def test_vehicles_are_where_the_truth_says(film: MovedFilm, vehicle: int, channel: int) -> None:
    row = select(read_table(film.truth), (read_table(film.truth)["vehicle_id"] == vehicle))
    taken, first = cv2.VideoCapture(str(film.video)).read()
    assert taken
    outline = corners(*(float(row[name][0]) for name in ("x_m", "y_m")), 0.0, 4.4, 1.8)
    colour = first[..., channel].astype(int) - first[..., 3 - channel]
    x, y = np.nonzero((colour > 80).T)
    expected = in_film(film, outline)
    assert np.allclose([x.mean(), y.mean()], expected.mean(axis=0), atol=1.5)
    assert np.ptp(x) == pytest.approx(np.ptp(expected[:, 0]), abs=4)


def test_what_drives_moves_at_its_speed_and_the_rest_stands(film: MovedFilm) -> None:
    truth = read_table(film.truth)
    drives, stands = (select(truth, truth["vehicle_id"] == number) for number in (1, -1))
    assert np.allclose(np.diff(drives["x_m"]), 10 / 25, atol=0.02)
    assert np.ptp(stands["x_m"]) == 0
    assert set(drives["speed_m_s"]) == {10.0}
    assert set(stands["speed_m_s"]) == {0.0}


def test_the_road_without_a_vehicle_shows_none() -> None:
    gone, stays = Label("car", 350.0, 150.0, 0.0, 44.0, 18.0), Label("car", 450.0, 220.0, 0.0, 44.0, 18.0)
    picture = picture_of({gone: RED, stays: GREEN}, Road(((0, 150), (900, 150)), 20, 10)).picture
    empty = without(picture, [gone], [stays], PIXEL_M)
    red, green = (empty[..., one].astype(int) - empty[..., other] for one, other in ((2, 1), (1, 2)))
    assert red.max() < 60
    assert (green > 100).sum() > 700
