"""Ask a person for reference points, and read the answer.

The form is `await_input.json`, which Winslow shows. The answer is `answer.json`, which maps field names to values. Its
pixels count from the upper left corner of the image; ours count from the centre of the upper left pixel.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tracker.errors import PointsInvalid
from tracker.point_checks import check_points
from tracker.reference import FEWEST_CORNERS, FEWEST_WORLD_POINTS, Frame, ReferencePoints, points_from

FORM_FILE = "await_input.json"
ENDS_OF_A_LENGTH = 2
CENTRE_OF_A_PIXEL = 0.5
MESSAGE = (
    "mark stationary points on the ground in frame.jpg, and enter the position in metres of at least "
    f"{FEWEST_WORLD_POINTS} of them; or mark one known length"
)


def write_form(path: Path, picture: str, time_s: float, fault: str = "") -> str:
    """Write the form for `picture`, the frame at `time_s`, and return its message.

    `fault` says what was wrong with the previous answer, if there was one.
    """
    message = " ".join(f"{fault}. Please answer again: {MESSAGE}".split() if fault else MESSAGE.split())
    fields: list[dict[str, Any]] = [
        {
            "kind": "points",
            "name": "points",
            "required": False,
            "image": f"./{picture}",
            "world": "optional",
            "propose": "extract_frame/proposed_points.json",
            "min_count": FEWEST_WORLD_POINTS,
            "label": "Reference points",
            "help": "Stationary points on the ground, away from vehicles and spread over the frame; "
            f"{FEWEST_WORLD_POINTS} or more with x and y in metres, in any flat, right-handed coordinate system. "
            "Stationary points are proposed; frame_with_points.jpg shows them.",
        },
        {
            "kind": "lines",
            "name": "known_length",
            "required": False,
            "image": f"./{picture}",
            "min_points": ENDS_OF_A_LENGTH,
            "label": "Known length",
            "help": "Mark both ends. Used as the scale if too few points have coordinates in metres; accurate only if "
            "the camera looks straight down.",
        },
        {
            "kind": "number",
            "name": "known_length_m",
            "required": False,
            "min": 0.01,
            "unit": "m",
            "label": "Length",
        },
        {
            "kind": "polygon",
            "name": "road",
            "required": False,
            "image": f"./{picture}",
            "min_points": FEWEST_CORNERS,
            "label": "Road",
            "help": "Only vehicles inside it are detected. Without it, the whole frame is searched.",
        },
        # The only allowed value is this frame's time, so an answer identifies its frame.
        {
            "kind": "number",
            "name": "frame_time_s",
            "default": round(time_s, 3),
            "min": round(time_s, 3),
            "max": round(time_s, 3),
            "unit": "s",
            "label": "Time of this frame",
            "help": "Do not change. To mark another frame, set REFERENCE_TIME_S of extract_frame.",
        },
    ]
    path.write_text(json.dumps({"message": message, "form": fields}, indent=2) + "\n", encoding="utf-8")
    return message


def read_answer(path: Path, frame: Frame, time_s: float) -> ReferencePoints:
    """Read and check the answer about `frame`, the one at `time_s`.

    Raises PointsInvalid with the point, the problem and the remedy.
    """
    try:
        answer = json.loads(path.read_text(encoding="utf-8"))
        answered_s = answer.get("frame_time_s", time_s)
        data = _as_points_file(answer, frame)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise PointsInvalid(f"{path.name} is malformed: {error!r}") from error
    if round(answered_s, 3) != round(time_s, 3):
        raise PointsInvalid(
            f"the answer is for the frame at {answered_s:g} s, but extract_frame chose the frame at {time_s:g} s"
        )
    points = points_from(data, frame, "it")
    check_points(points, frame, "it")
    return points


def _as_points_file(answer: dict[str, Any], frame: Frame) -> dict[str, Any]:
    """Convert the answer to the format of a reference points file."""
    data: dict[str, Any] = {"points": [_point(point, frame) for point in answer.get("points", ())]}
    if answer.get("road"):
        data["road_polygon_px"] = [_pixel(corner, frame) for corner in answer["road"][0]["points"]]
    lines, length_m = answer.get("known_length"), answer.get("known_length_m")
    if bool(lines) != (length_m is not None):
        present, missing = (
            ("a line", "its length in metres") if lines else ("a length in metres", "the line it belongs to")
        )
        raise PointsInvalid(f"it has {present} but not {missing}", remedy="Give both or neither")
    if lines:
        ends = [_pixel(corner, frame) for corner in lines[0]["points"]]
        if len(ends) != ENDS_OF_A_LENGTH:
            raise PointsInvalid(f"the known length has {len(ends)} points", remedy="Mark both ends")
        data["known_length"] = {"from_px": ends[0], "to_px": ends[1], "length_m": length_m}
    return data


def _point(point: dict[str, Any], frame: Frame) -> dict[str, Any]:
    x_px, y_px = _pixel(point, frame)
    x_m, y_m = point.get("world") or (None, None)
    return {"name": point["label"], "x_px": x_px, "y_px": y_px, "x_m": x_m, "y_m": y_m}


def _pixel(place: dict[str, Any], frame: Frame) -> tuple[float, float]:
    """From the image corner to the centre of its first pixel; the outermost half pixel is clamped to the edge."""
    x, y = place["x"] - CENTRE_OF_A_PIXEL, place["y"] - CENTRE_OF_A_PIXEL
    return min(max(x, 0.0), frame.width_px - 1.0), min(max(y, 0.0), frame.height_px - 1.0)
