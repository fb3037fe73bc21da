"""Neighbours and assignments are those that a comparison of everything with everything finds."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tracker.arrays import Floats
from tracker.neighbours import Places, cheapest, nearest, pairs_within

COORDINATES = st.integers(-40, 40).map(lambda value: value / 4)
POSITIONS = st.lists(st.tuples(COORDINATES, COORDINATES), min_size=1, max_size=30).map(np.array)
DISTANCES = st.integers(1, 40).map(lambda value: value / 4)


def distances(places: Floats, points: Floats) -> Floats:
    return np.hypot(places[:, None, 0] - points[:, 0], places[:, None, 1] - points[:, 1])


@given(places=POSITIONS, place=st.tuples(COORDINATES, COORDINATES), distance=DISTANCES)
def test_positions_within_a_distance_are_found(places: Floats, place: tuple[float, float], distance: float) -> None:
    found = Places(places).within(np.array(place), distance)
    assert sorted(found.tolist()) == np.flatnonzero(distances(places, np.array([place]))[:, 0] <= distance).tolist()


@given(places=POSITIONS, points=POSITIONS)
def test_no_position_is_nearer_than_the_nearest(places: Floats, points: Floats) -> None:
    apart = distances(places, points)
    assert (apart[nearest(places, points), np.arange(len(points))] == apart.min(axis=0)).all()


def test_the_nearest_of_many_positions_is_found_in_parts() -> None:
    random = np.random.default_rng(0)
    places, points = random.random((1000, 2)), random.random((700, 2))
    assert (nearest(places, points) == distances(places, points).argmin(axis=0)).all()


@given(places=POSITIONS, distance=DISTANCES, seed=st.integers(0, 1000))
def test_pairs_are_near_each_other_and_of_one_group(places: Floats, distance: float, seed: int) -> None:
    groups = np.random.default_rng(seed).integers(0, 3, len(places))
    near = (distances(places, places) <= distance) & (groups[:, None] == groups)
    first, second = pairs_within(places, groups, distance)
    found = [tuple(sorted(pair)) for pair in zip(first.tolist(), second.tolist(), strict=True)]
    assert sorted(found) == [tuple(pair) for pair in np.argwhere(np.triu(near, 1)).tolist()]


@given(rows=st.integers(1, 5), columns=st.integers(1, 5), seed=st.integers(0, 10_000))
def test_no_assignment_is_cheaper_than_the_cheapest(rows: int, columns: int, seed: int) -> None:
    costs = np.random.default_rng(seed).uniform(-10, 10, (rows, columns))
    row, column = cheapest(costs)
    assert row.tolist() == sorted(set(row.tolist()))
    assert len(set(column.tolist())) == len(column) == min(rows, columns)
    wide = costs if rows <= columns else costs.T
    least = min(
        sum(wide[at, chosen] for at, chosen in enumerate(order))
        for order in permutations(range(wide.shape[1]), len(wide))
    )
    assert np.isclose(costs[row, column].sum(), least)


def test_nothing_is_assigned_to_nothing() -> None:
    assert [part.tolist() for part in cheapest(np.zeros((0, 3)))] == [[], []]
