"""Asks a person for reference points, and reads what was answered.

The form is `await_input.json`, which Winslow shows; the answer is `answer.json`, in which each field has its value by
its name. There pixels count from the upper left corner of the picture, here from the centre of its upper left pixel.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tracker.errors import PointsInvalid
from tracker.reference import FEWEST_CORNERS, FEWEST_WORLD_POINTS, Frame, ReferencePoints, check_points, points_from

FORM_FILE = "await_input.json"
ENDS_OF_A_LENGTH = 2
CENTRE_OF_A_PIXEL = 0.5
MESSAGE = (
    "mark points of frame.jpg that stand still on the ground, and say of at least "
    f"{FEWEST_WORLD_POINTS} where they are in metres; or mark one known length"
)


def write_form(path: Path, picture: str, time_s: float, fault: str = "") -> str:
    """Write what a person is asked about `picture`, the frame at `time_s`, and return the message above it.

    `fault` says what was wrong with the answer before, if there was one.
    """
    message = " ".join(f"{fault}. Again: {MESSAGE}".split() if fault else MESSAGE.split())
    fields: list[dict[str, Any]] = [
        {
            "kind": "points",
            "name": "points",
            "required": False,
            "image": f"./{picture}",
            "world": "optional",
            "min_count": FEWEST_WORLD_POINTS,
            "label": "Reference points",
            "help": f"On the ground, away from vehicles, spread over the frame; {FEWEST_WORLD_POINTS} or more of them "
            "with x and y in metres, in any flat, right-handed system. frame_with_points.jpg shows proposals, "
            "proposed_points.json lists them.",
        },
        {
            "kind": "lines",
            "name": "known_length",
            "required": False,
            "image": f"./{picture}",
            "min_points": ENDS_OF_A_LENGTH,
            "label": "A known length",
            "help": "From one end to the other. Taken as the scale where fewer points have metres; good only for a "
            "camera that looks straight down.",
        },
        {
            "kind": "number",
            "name": "known_length_m",
            "required": False,
            "min": 0.01,
            "unit": "m",
            "label": "Its length",
        },
        {
            "kind": "polygon",
            "name": "road",
            "required": False,
            "image": f"./{picture}",
            "min_points": FEWEST_CORNERS,
            "label": "The road",
            "help": "Vehicles are looked for inside it only; without it, on the whole frame.",
        },
        # With one value only: so the answer says to which frame it belongs.
        {
            "kind": "number",
            "name": "frame_time_s",
            "default": round(time_s, 3),
            "min": round(time_s, 3),
            "max": round(time_s, 3),
            "unit": "s",
            "label": "The second of this frame",
            "help": "Leave it as it is. REFERENCE_TIME_S of extract_frame shows another frame, and asks anew.",
        },
    ]
    path.write_text(json.dumps({"message": message, "form": fields}, indent=2) + "\n", encoding="utf-8")
    return message


def read_answer(path: Path, frame: Frame, time_s: float) -> ReferencePoints:
    """What a person answered about `frame`, which was asked for as the one at `time_s`; checked as a handed-over file.

    Raises PointsInvalid saying which point, what is wrong and what to do.
    """
    try:
        answer = json.loads(path.read_text(encoding="utf-8"))
        told_s = answer.get("frame_time_s", time_s)
        data = _as_points_file(answer, frame)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise PointsInvalid(f"{path.name} is malformed: {error!r}") from error
    if round(told_s, 3) != round(time_s, 3):
        raise PointsInvalid(f"it is about the frame at {told_s:g} s, and extract_frame chose the one at {time_s:g} s")
    points = points_from(data, frame, "it")
    check_points(points, frame, "it")
    return points


def _as_points_file(answer: dict[str, Any], frame: Frame) -> dict[str, Any]:
    """The answer in the form of a reference points file."""
    data: dict[str, Any] = {"points": [_point(point, frame) for point in answer.get("points", ())]}
    if answer.get("road"):
        data["road_polygon_px"] = [_pixel(corner, frame) for corner in answer["road"][0]["points"]]
    lines, length_m = answer.get("known_length"), answer.get("known_length_m")
    if bool(lines) != (length_m is not None):
        given, missing = ("a line", "its length in metres") if lines else ("a length in metres", "the line it is of")
        raise PointsInvalid(f"it has {given} and not {missing}", remedy="Give both, or neither")
    if lines:
        ends = [_pixel(corner, frame) for corner in lines[0]["points"]]
        if len(ends) != ENDS_OF_A_LENGTH:
            raise PointsInvalid(f"the known length has {len(ends)} points", remedy="Mark its two ends")
        data["known_length"] = {"from_px": ends[0], "to_px": ends[1], "length_m": length_m}
    return data


def _point(point: dict[str, Any], frame: Frame) -> dict[str, Any]:
    x_px, y_px = _pixel(point, frame)
    x_m, y_m = point.get("world") or (None, None)
    return {"name": point["label"], "x_px": x_px, "y_px": y_px, "x_m": x_m, "y_m": y_m}


def _pixel(place: dict[str, Any], frame: Frame) -> tuple[float, float]:
    """From the corner of the picture to the centre of its first pixel; its outermost half pixel counts as its edge."""
    x, y = place["x"] - CENTRE_OF_A_PIXEL, place["y"] - CENTRE_OF_A_PIXEL
    return min(max(x, 0.0), frame.width_px - 1.0), min(max(y, 0.0), frame.height_px - 1.0)
