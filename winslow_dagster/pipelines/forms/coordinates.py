"""World coordinates as people type them: metres, UTM or degrees, and how to tell one from another by their size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from winslow_dagster.pipelines.forms.judged_marks import Doubt, Mark
from winslow_dagster.pipelines.forms.plane_fit import Place
from winslow_dagster.pipelines.model.form import World

EARTH_RADIUS_M = 6_371_000.0
UTM_EAST, UTM_NORTH = (100_000.0, 900_000.0), (500_000.0, 10_000_000.0)
HALF_TURN, QUARTER_TURN = 180.0, 90.0


def in_metres(places: Sequence[Place], world: World) -> list[Place]:
    """The places in metres; degrees on a plane that touches the earth in their middle."""
    if world != "wgs84":
        return list(places)
    lon0, lat0 = (sum(axis) / len(places) for axis in zip(*places, strict=True))
    degree = math.radians(1) * EARTH_RADIUS_M
    return [((lon - lon0) * degree * math.cos(math.radians(lat0)), (lat - lat0) * degree) for lon, lat in places]


def unlikely_numbers(known: Mapping[int, Mark], world: World) -> Iterator[Doubt]:
    """Coordinates that belong to another system by their size."""
    places = {index: mark.world for index, mark in known.items() if mark.world is not None}
    if world == "wgs84":
        outside = tuple(index for index, place in places.items() if not may_be_degrees(place))
        if outside:
            text = "These coordinates are no degrees; expected longitude up to 180, then latitude up to 90."
            yield Doubt("metres_as_degrees", text, outside)
        return
    utm = tuple(index for index, place in places.items() if _may_be_utm(place))
    if len(utm) == len(places):
        text = "The coordinates look like UTM. That is right if all points are in the same zone."
        yield Doubt("utm", text, utm, "note")
    elif utm:
        others = tuple(index for index in places if index not in utm)
        fewer = utm if len(utm) <= len(others) else others
        text = "Some coordinates look like UTM, and others do not; expected one system for all points."
        yield Doubt("mixed", text, fewer)


def may_be_degrees(place: Place) -> bool:
    """Whether it may be longitude and latitude."""
    return abs(place[0]) <= HALF_TURN and abs(place[1]) <= QUARTER_TURN


def _may_be_utm(place: Place) -> bool:
    return any(
        UTM_EAST[0] <= east <= UTM_EAST[1] and UTM_NORTH[0] <= north <= UTM_NORTH[1] and north > east
        for east, north in (place, place[::-1])
    )
