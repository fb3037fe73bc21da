"""Background, motion and fusion, on synthetic images and boxes."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from tracker.background import make_background
from tracker.detectors.boxes import Boxes
from tracker.detectors.fusion import Fusion
from tracker.detectors.motion import Scene
from tracker.detectors.overlap import corners_px, intersections_px2, overlaps, without_repeats
from tracker.detectors.places import Heights, standing
from tracker.detectors.sightings import Sighting
from tracker.detectors.views import Piece, View, gain_between, levelled

SIZE = (240, 320)
PIXEL_M = 0.1
ROAD = np.random.default_rng(3).normal(110, 2, (*SIZE, 3)).clip(0, 255).astype(np.uint8)


def box(  # noqa: PLR0913, PLR0917  a box has as many sides
    x: float, y: float, kind: str = "car", score: float = 0.9, length: float = 45, width: float = 19
) -> Boxes:
    numbers = (np.array([float(value)]) for value in (x, y, length, width, 0.0, score))
    return Boxes(*numbers, np.array([kind], dtype=object))


def painted(*vehicles: tuple[float, float, int], picture: np.ndarray = ROAD) -> np.ndarray:
    """Vehicles of 45 x 19 pixels at these centres, with this brightness."""
    result = picture.copy()
    for x, y, grey in vehicles:
        result[round(y - 9) : round(y + 10), round(x - 22) : round(x + 23)] = grey
    return result


def view(picture: np.ndarray, time_s: float = 0.0, to_stabilised: np.ndarray | None = None) -> View:
    return View(round(10 * time_s), time_s, picture, np.eye(3) if to_stabilised is None else to_stabilised, 2)


def scene(background: np.ndarray = ROAD, road: np.ndarray | None = None) -> Scene:
    background_model = make_background([background] * 5, 20)
    return Scene(background_model, 2, np.full(SIZE, 255, np.uint8) if road is None else road, None, PIXEL_M, 1.2, 2.0)


class ScriptedLooks:
    """A fake network with scripted detections per time."""

    name, provider, threshold = "scripted", "cpu", 0.25

    def __init__(self, tell: Callable[[float], list[Boxes]]) -> None:
        self.tell = tell
        self.asked: list[tuple[float, Piece | None]] = []

    def at(self, view: View, piece: Piece | None) -> Boxes:
        self.asked.append((view.time_s, piece))
        found = Boxes.joined(self.tell(view.time_s))
        if piece is None:
            return found
        across, down = found.x_px - piece.left_px, found.y_px - piece.top_px
        return found.select((across >= 0) & (across < piece.width_px) & (down >= 0) & (down < piece.height_px))


def fused(
    pictures: list[np.ndarray], tell: Callable[[float], list[Boxes]], *, every: int = 5, background: np.ndarray = ROAD
) -> list[list[Sighting]]:
    fusion = Fusion(ScriptedLooks(tell), scene(background), 0.4)
    found = []
    for index, picture in enumerate(pictures):
        seen, coarse = fusion.scene.levelled(view(picture, index / 10))
        found.append(fusion.frame(seen, coarse, everything=index % every == 0))
    return found


def middles(sightings: list[Sighting]) -> list[tuple[int, int]]:
    return sorted(tuple(np.round(sighting.corners_px.mean(axis=0)).astype(int).tolist()) for sighting in sightings)


def test_the_background_shows_the_road_under_queues_of_different_vehicles() -> None:
    samples = [painted((100, 60, grey)) for grey in (10, 30, 60, 160, 190, 220, 250)] + [ROAD] * 4
    assert np.abs(make_background(samples, 20).picture.astype(int) - ROAD).max() <= 2


def test_the_threshold_is_higher_under_moving_leaves_but_not_under_queues() -> None:
    random = np.random.default_rng(1)
    samples = [painted((100, 60, grey)) for grey in (10, 60, 190, 220, 250)] + [ROAD.copy() for _ in range(6)]
    for sample in samples:
        sample[150:200, 200:260] = random.choice([40, 90, 140], (50, 60, 1))
    threshold = make_background(samples, 20).threshold
    assert threshold[165:185, 215:245].mean() > 35
    assert threshold[52:68, 85:115].max() == 20


def test_a_change_of_light_is_compensated() -> None:
    darker = (ROAD * 0.8).astype(np.uint8)
    gain = gain_between(darker, ROAD)
    assert gain == pytest.approx([0.8] * 3, abs=0.01)
    assert np.abs(levelled(darker, gain).astype(int) - ROAD).mean() < 2
    seen, coarse = scene().levelled(view(painted((100, 60, 200), picture=darker)))
    (blob,) = scene().blobs(seen, coarse)
    assert blob.corners_px.mean(axis=0) == pytest.approx([100, 60], abs=1)


def test_motion_uses_stabilised_pixels_and_flags_boxes_cut_by_the_border() -> None:
    shift = np.array([[1.0, 0, 30], [0, 1, 10], [0, 0, 1]])
    background = cv2.warpPerspective(ROAD, shift, SIZE[::-1], borderMode=cv2.BORDER_REPLICATE)
    seen = view(painted((100, 60, 220), (24, 150, 220)), to_stabilised=shift)
    found = scene(background).blobs(seen, seen.coarse())
    by_place = {round(blob.corners_px[:, 0].mean()): blob.whole for blob in found}
    assert by_place == {130: True, 54: False}


def test_vehicles_beside_the_road_are_excluded_and_those_at_its_edge_stay_whole() -> None:
    road = np.zeros(SIZE, np.uint8)
    road[50:120] = 255
    motion_scene = scene(road=road)
    seen = view(painted((100, 55, 220), (100, 200, 220)))
    found = motion_scene.on_road([Sighting.of_blob(blob) for blob in motion_scene.blobs(seen, seen.coarse())])
    assert middles(found) == [(100, 55)]
    assert np.ptp(found[0].corners_px[:, 1]) == pytest.approx(19, abs=2)


def test_a_vehicle_seen_by_both_is_located_by_motion_and_classified_by_the_network() -> None:
    pictures = [painted((60 + 8 * index, 100, 220)) for index in range(10)]
    found = fused(pictures, lambda time_s: [box(62 + 80 * time_s, 102, "truck_bus")])
    for index, sightings in enumerate(found):
        (sighting,) = sightings
        assert (sighting.source, sighting.kind) == ("fused", "truck_bus")
        assert sighting.corners_px.mean(axis=0) == pytest.approx([60 + 8 * index, 100], abs=1)


def test_motion_without_a_network_detection_is_dropped() -> None:
    found = fused([painted((100, 60, 220))] * 12, lambda _: [])
    assert [len(sightings) for sightings in found[6:]] == [0] * 6


def test_motion_that_moves_is_reported_whatever_the_network_sees() -> None:
    found = fused([ROAD, *(painted((60 + 8 * index, 100, 220)) for index in range(20))], lambda _: [])
    assert [[sighting.source for sighting in sightings] for sightings in found] == [[], *[["motion"]] * 20]


def test_a_new_motion_box_is_reported_until_the_network_looks() -> None:
    pictures = [ROAD, *(painted((60 + 8 * index, 100, 220)) for index in range(3))]
    found = fused(pictures, lambda _: [])
    assert [[sighting.source for sighting in sightings] for sightings in found] == [
        [],
        ["motion"],
        ["motion"],
        ["motion"],
    ]


def test_a_stopped_vehicle_is_held_between_looks_until_it_leaves() -> None:
    standing_there = painted((100, 60, 220))
    found = fused(
        [standing_there] * 8 + [ROAD] * 7,
        lambda time_s: [box(100, 60)] if time_s < 0.75 else [],
        background=standing_there,
    )
    assert [len(sightings) for sightings in found] == [1] * 8 + [0] * 7
    assert {sighting.source for sightings in found for sighting in sightings} == {"network"}


def test_a_stationary_object_seen_in_too_few_looks_is_dropped() -> None:
    def tell(seen_at: tuple[int, ...]) -> list[int]:
        looks = {time for look in seen_at for time in (5 * look,)}
        found = fused(
            [ROAD] * 40,
            lambda time_s: [box(100, 60, score=0.9), *([box(200, 60, score=0.6)] * (round(10 * time_s) in looks))],
        )
        return [len(sightings) for sightings in found]

    assert tell(tuple(range(8))) == [2] * 40
    # Seen in every second look: kept at first, and dropped once its mean score is below the least score.
    assert tell((0, 2, 4, 6))[5:] == [1] * 35


def test_a_vehicle_that_has_moved_is_held_despite_low_scores() -> None:
    pictures = [painted((60 + 5 * index, 100, 220)) for index in range(8)] + [painted((95, 100, 220))] * 12
    found = fused(pictures, lambda time_s: [box(60 + 50 * min(time_s, 0.7), 100, score=0.3)])
    assert [len(sightings) for sightings in found] == [1] * 20


def test_a_vehicle_seen_by_both_also_reports_the_networks_position() -> None:
    pictures = [painted((60 + 8 * index, 100, 220)) for index in range(10)]
    found = fused(pictures, lambda time_s: [box(62 + 80 * time_s, 102)])
    looked = {
        index: sighting.look_px.mean(axis=0) for index, (sighting,) in enumerate(found) if sighting.look_px is not None
    }
    assert looked.keys() == {0, 5}
    assert looked[5] == pytest.approx([102, 102], abs=0.1)


def test_merged_motion_boxes_are_split_if_the_network_knows_both_vehicles() -> None:
    pictures = [painted((60 + 5 * index, 100, 220), (60 + 5 * index, 121, 200)) for index in range(6)]
    found = fused(pictures, lambda time_s: [box(60 + 50 * time_s, 100), box(60 + 50 * time_s, 121)])
    for index, sightings in enumerate(found):
        assert len(sightings) == 2
        for (x, y), expected_y in zip(middles(sightings), (100, 121), strict=True):
            assert abs(x - 60 - 5 * index) <= 3
            assert abs(y - expected_y) <= 4


def test_a_vehicle_lost_by_motion_is_searched_at_its_predicted_position() -> None:
    def tell(time_s: float) -> list[Boxes]:
        return [box(60 + 80 * time_s, 100)]

    looks = ScriptedLooks(tell)
    fusion = Fusion(looks, scene(), 0.4)
    for index in range(5):
        grey = 220 if index < 3 else 110
        seen, coarse = fusion.scene.levelled(view(painted((60 + 8 * index, 100, grey)), index / 10))
        (sighting,) = fusion.frame(seen, coarse, everything=index == 0)
        assert sighting.corners_px.mean(axis=0) == pytest.approx([60 + 8 * index, 100], abs=1)
    assert sighting.source == "network"
    pieces = [piece for _, piece in looks.asked if piece is not None]
    assert len(pieces) == 2
    assert all(piece.width_px < 80 for piece in pieces)


def test_a_faint_look_continues_a_known_vehicle_but_begins_none() -> None:
    def tell(time_s: float) -> list[Boxes]:
        known = box(60 + 80 * time_s, 100, score=0.9 if time_s < 0.05 else 0.2)
        return [known, box(200, 60, score=0.2), box(60 + 80 * time_s, 140, score=0.2)]

    pictures = [painted((60 + 8 * index, 140, 220)) for index in range(6)]
    for index, sightings in enumerate(fused(pictures, tell, every=1)):
        sources = {round(float(sighting.corners_px[:, 1].mean()), -1): sighting.source for sighting in sightings}
        assert sources.get(100) in ("network", "fused"), index
        assert sources.get(140) in (None, "motion"), index
        assert 60 not in sources


def test_one_of_two_overlapping_boxes_is_kept() -> None:
    both = Boxes.joined([box(100, 60, score=0.5), box(104, 60, score=0.8), box(200, 60, score=0.6)])
    assert sorted(without_repeats(both, both.score, 0.5).x_px) == [104, 200]
    assert len(without_repeats(Boxes.empty(), np.zeros(0), 0.5)) == 0


def test_overlaps_are_computed_for_rotated_rectangles() -> None:
    upright = Boxes(*(np.array([value]) for value in (50.0, 50.0, 20.0, 10.0, np.pi / 2, 0.9)), np.array([""], object))
    lying = box(50, 50, length=20, width=10)
    assert intersections_px2(upright, lying)[0, 0] == pytest.approx(100, abs=0.1)
    assert overlaps(upright, lying)[0, 0] == pytest.approx(1 / 3, abs=0.001)
    assert overlaps(lying, box(90, 50))[0, 0] == 0


def test_parallax_moves_only_cars_away_from_the_cameras_foot() -> None:
    to_world = np.diag([0.1, -0.1, 1.0])
    heights, camera = Heights(1.5, 3.1), np.array([10.0, -10.0, 80.0])
    below = standing(corners_px(box(100, 100)), to_world, camera[None], heights, [("car", "network")])[0]
    assert below[:2] == pytest.approx([10.0, -10.0], abs=0.01)
    assert below[3:] == pytest.approx([4.5, 1.9], abs=0.05)
    aside = standing(corners_px(box(500, 100)), to_world, camera[None], heights, [("car", "network")])[0]
    by_motion = standing(corners_px(box(500, 100)), to_world, camera[None], heights, [("car", "motion")])[0]
    # Motion sees it down to the road, a network down to its bumper, which already leans outwards.
    assert 0.03 < by_motion[0] - aside[0] < 0.15
    # Forty metres aside, the bumper's upper edge leans out by 0.4 m: half of that shifts the centre of the outline.
    assert 49.6 < aside[0] < 49.9
    assert aside[3] < below[3]
