"""Points on the ground as a drone sees them: a true view raises no doubt, and each mistake is found and named."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from winslow_dagster.pipelines.forms.coordinates import EARTH_RADIUS_M
from winslow_dagster.pipelines.forms.judged_marks import Judgement, Mark
from winslow_dagster.pipelines.forms.plane_fit import Place, fit_homography
from winslow_dagster.pipelines.forms.plausibility import judge_marks

SIZE = (3840, 2160)
FOCAL_PX = 2560.0
ENOUGH = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])


@dataclass(frozen=True)
class View:
    """A drone above the origin, and places on the ground that it sees."""

    height_m: float
    tilt: float
    turn: float
    pixels: tuple[Place, ...]
    clicks: tuple[Place, ...]

    def ground(self, pixel: Place) -> Place:
        """Where the ray through the pixel meets the ground, x east and y north."""
        x, y = (pixel[0] - SIZE[0] / 2) / FOCAL_PX, (pixel[1] - SIZE[1] / 2) / FOCAL_PX
        # The camera's axes: right, down, forward. Without a tilt it looks straight down, with north up in the picture.
        forward, down = (math.sin(self.tilt), -math.cos(self.tilt)), (-math.cos(self.tilt), -math.sin(self.tilt))
        north, up = forward[0] + y * down[0], forward[1] + y * down[1]
        reach = self.height_m / -up
        east, north = reach * x, reach * north
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        return east * cos - north * sin, east * sin + north * cos

    def marks(self) -> list[Mark]:
        return [
            Mark(f"P{number}", pixel[0] + click[0], pixel[1] + click[1], self.ground(pixel))
            for number, (pixel, click) in enumerate(zip(self.pixels, self.clicks, strict=True), 1)
        ]


@st.composite
def views(draw: st.DrawFn, fewest: int = 4, most: int = 12) -> View:
    """Points in different cells of the picture, clicked within a pixel or so."""
    count = draw(st.integers(fewest, most))
    cells = draw(st.permutations([(column, row) for column in range(4) for row in range(3)]))[:count]
    # The corners first, so that they are spread.
    cells = [
        *[(0, 0), (3, 0), (0, 2), (3, 2)],
        *[each for each in cells if each not in {(0, 0), (3, 0), (0, 2), (3, 2)}],
    ]
    inside = st.floats(0.25, 0.75)
    pixels = tuple(
        ((column + draw(inside)) * SIZE[0] / 4, (row + draw(inside)) * SIZE[1] / 3) for column, row in cells[:count]
    )
    click = st.floats(-1.2, 1.2)
    return View(
        height_m=draw(st.floats(30, 250)),
        tilt=draw(st.floats(0, 0.9)),
        turn=draw(st.floats(0, 6.3)),
        pixels=pixels,
        clicks=tuple((draw(click), draw(click)) for _ in pixels),
    )


def judged(marks: list[Mark], world: str = "metres") -> Judgement:
    return judge_marks(marks, world, SIZE)  # type: ignore[arg-type]  # one of its literals


def kinds(judgement: Judgement) -> set[str]:
    return {doubt.kind for doubt in judgement.doubts}


def named(judgement: Judgement, kind: str) -> list[tuple[int, ...]]:
    return [doubt.points for doubt in judgement.doubts if doubt.kind == kind]


def moved(marks: list[Mark], index: int, world: Place) -> list[Mark]:
    return [replace(mark, world=world) if number == index else mark for number, mark in enumerate(marks)]


def as_degrees(place: Place, longitude: float = 9.99, latitude: float = 48.4) -> Place:
    degree = math.radians(1) * EARTH_RADIUS_M
    return longitude + place[0] / (degree * math.cos(math.radians(latitude))), latitude + place[1] / degree


@ENOUGH
@given(views(fewest=2))
def test_no_true_view_is_doubted(view: View) -> None:
    judgement = judged(view.marks())
    assert judgement.doubts == ()
    assert judgement.metres_per_pixel is not None
    if len(view.pixels) > 4:
        assert judgement.model == "homography"
        assert judgement.rms_px is not None
        assert judgement.rms_px < 2


@ENOUGH
@given(views(), st.floats(-170, 170), st.floats(-65, 65))
def test_no_true_view_in_degrees_is_doubted(view: View, longitude: float, latitude: float) -> None:
    marks = [replace(mark, world=as_degrees(mark.world or (0, 0), longitude, latitude)) for mark in view.marks()]
    assert judged(marks, "wgs84").doubts == ()


@ENOUGH
@given(views())
def test_utm_coordinates_are_noted_and_not_doubted(view: View) -> None:
    marks = [
        replace(mark, world=(573_000 + mark.world[0], 5_361_000 + mark.world[1])) for mark in view.marks() if mark.world
    ]
    (doubt,) = judged(marks).doubts
    assert (doubt.kind, doubt.level) == ("utm", "note")


@ENOUGH
@given(views(fewest=3))
def test_mirrored_points_are_found(view: View) -> None:
    marks = [replace(mark, world=(mark.world[1], mark.world[0])) for mark in view.marks() if mark.world]
    assert "mirrored" in kinds(judged(marks))


@ENOUGH
@given(views(fewest=6), st.data())
def test_two_swapped_points_are_named(view: View, data: st.DataObject) -> None:
    marks = view.marks()
    one, other = sorted(data.draw(st.lists(st.integers(0, len(marks) - 1), min_size=2, max_size=2, unique=True)))
    swapped = moved(moved(marks, one, marks[other].world or (0, 0)), other, marks[one].world or (0, 0))
    assert named(judged(swapped), "swapped") == [(one, other)]


@pytest.mark.parametrize("pair", [*itertools.combinations(range(6), 2)])
def test_in_a_symmetric_picture_the_swapped_points_are_named_and_not_their_mirror_images(pair: tuple[int, int]) -> None:
    pixels = ((480.0, 360.0), (3360.0, 360.0), (480.0, 1800.0), (3360.0, 1800.0), (1440.0, 1080.0), (480.0, 1080.0))
    marks = View(30.0, 0.0, 0.0, pixels, ((0.0, 0.0),) * len(pixels)).marks()
    one, other = pair
    swapped = moved(moved(marks, one, marks[other].world or (0, 0)), other, marks[one].world or (0, 0))
    assert named(judged(swapped), "swapped") == [pair]


@ENOUGH
@given(views(fewest=4, most=4), st.sampled_from([(0, 1), (1, 3), (2, 3), (0, 2)]))
def test_two_swapped_neighbours_of_only_four_points_are_named(view: View, pair: tuple[int, int]) -> None:
    marks = view.marks()
    one, other = pair
    swapped = moved(moved(marks, one, marks[other].world or (0, 0)), other, marks[one].world or (0, 0))
    assert named(judged(swapped), "swapped") == [pair]


@ENOUGH
@given(views(fewest=7), st.data())
def test_one_wrong_point_is_named_and_shows_itself_by_its_residual(view: View, data: st.DataObject) -> None:
    marks = view.marks()
    wrong = data.draw(st.integers(0, len(marks) - 1))
    x, y = marks[wrong].world or (0, 0)
    extent = max(math.dist(mark.world or (0, 0), (x, y)) for mark in marks)
    angle, share = data.draw(st.floats(0, 6.28)), data.draw(st.floats(0.1, 0.6))
    typed = (x + share * extent * math.cos(angle), y + share * extent * math.sin(angle))
    fitted = fit_homography([mark.world for mark in marks if mark.world], [mark.pixel for mark in marks])
    assert fitted is not None
    # An oblique view shows what is far away small: there, what is wrong by metres is hardly wrong in the picture.
    assume(fitted.depth(typed) * fitted.depth((x, y)) > 0)
    assume(math.dist(fitted(typed), fitted((x, y))) > 120)
    judgement = judged(moved(marks, wrong, typed))
    assert named(judgement, "misplaced") == [(wrong,)]
    # Fitted to the others, the map puts the point where it belongs.
    residual = judgement.residuals[wrong]
    assert residual.left_out_m == pytest.approx(math.dist(typed, (x, y)), rel=0.3)


@ENOUGH
@given(views(fewest=4), st.floats(0, 3), st.booleans())
def test_points_on_one_line_are_found(view: View, angle: float, in_picture: bool) -> None:  # noqa: FBT001  # both ways
    marks = view.marks()
    on_line = [
        replace(mark, x=1900 + (index - 4) * 150 * math.cos(angle), y=1000 + (index - 4) * 90 * math.sin(angle))
        if in_picture
        else replace(mark, world=(index * 10.0, index * 20.0))
        for index, mark in enumerate(marks)
    ]
    assert "collinear" in kinds(judged(on_line))


@ENOUGH
@given(views())
def test_degrees_typed_as_metres_are_found(view: View) -> None:
    marks = [replace(mark, world=as_degrees(mark.world or (0, 0))) for mark in view.marks()]
    assert "degrees_as_metres" in kinds(judged(marks))


@ENOUGH
@given(views())
def test_metres_typed_as_degrees_are_found(view: View) -> None:
    marks = view.marks()
    extent = max(abs(value) for mark in marks for value in mark.world or ())
    found = judged(marks, "wgs84")
    assert "metres_as_degrees" in kinds(found) or "scale" in kinds(found)
    if extent > 180:
        (points,) = named(found, "metres_as_degrees")
        assert set(points) == {i for i, mark in enumerate(marks) if abs(mark.world[0]) > 180 or abs(mark.world[1]) > 90}  # type: ignore[index]


@ENOUGH
@given(views(fewest=5), st.data())
def test_utm_coordinates_among_others_are_named(view: View, data: st.DataObject) -> None:
    marks = view.marks()
    wrong = data.draw(st.integers(0, len(marks) - 1))
    x, y = marks[wrong].world or (0, 0)
    assert named(judged(moved(marks, wrong, (573_000 + x, 5_361_000 + y))), "mixed") == [(wrong,)]


@ENOUGH
@given(views(), st.sampled_from([0.001, 100.0]))
def test_a_scale_that_no_drone_has_is_found(view: View, factor: float) -> None:
    marks = [
        replace(mark, world=(mark.world[0] * factor, mark.world[1] * factor)) for mark in view.marks() if mark.world
    ]
    # Values as large as degrees could be degrees.
    assert kinds(judged(marks)) & {"scale", "degrees_as_metres"}


@ENOUGH
@given(views(), st.data())
def test_points_very_close_together_are_named(view: View, data: st.DataObject) -> None:
    marks = view.marks()
    one = data.draw(st.integers(0, len(marks) - 1))
    near = Mark("near", marks[one].x + 2, marks[one].y - 1)
    assert named(judged([*marks, near]), "too_close") == [(one, len(marks))]


def test_two_points_with_the_same_coordinates_are_named() -> None:
    marks = [Mark("a", 100, 100, (0, 0)), Mark("b", 900, 100, (0, 0)), Mark("c", 900, 800, (40, -35))]
    assert named(judged(marks), "same_place") == [(0, 1)]


def test_points_in_a_small_part_of_the_picture_are_noted() -> None:
    marks = [Mark("a", 100, 100, (0, 0)), Mark("b", 200, 100, (5, 0)), Mark("c", 200, 200, (5, -5))]
    (doubt,) = judged(marks).doubts
    assert (doubt.kind, doubt.level) == ("small_part", "note")


@pytest.mark.parametrize("world", ["none", "metres", "wgs84", "optional"])
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_points_without_coordinates_are_not_judged(world: str, count: int) -> None:
    marks = [Mark(f"P{index}", 100.0 * index, 50.0 * index) for index in range(count)]
    assert judged(marks, world) == Judgement()


@given(
    st.lists(
        st.tuples(
            st.floats(allow_nan=False, allow_infinity=False),
            st.floats(allow_nan=False, allow_infinity=False),
            st.none() | st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)),
        ),
        max_size=9,
    ),
    st.sampled_from(["none", "metres", "wgs84", "optional"]),
)
@settings(deadline=None)
def test_whatever_is_typed_is_judged(points: list[tuple[float, float, Place | None]], world: str) -> None:
    judgement = judged([Mark("<b>", *each) for each in points], world)
    assert all(0 <= index < len(points) for doubt in judgement.doubts for index in doubt.points)
    for residual in judgement.residuals:
        for value in (residual.px, residual.m, residual.left_out_px, residual.left_out_m):
            assert value is None or math.isfinite(value)
