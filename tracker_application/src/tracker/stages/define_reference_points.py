"""Takes the reference points that a person marked on the frame, from a file or from an answer."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2

from tracker.arrays import Picture
from tracker.contract import Report, StageFiles
from tracker.errors import InputMissing, PersonNeeded, PointsInvalid
from tracker.pictures import write_jpeg
from tracker.point_checks import read_points
from tracker.point_doubts import doubts_about, doubts_about_scale, metres_per_pixel_of
from tracker.reference import Frame, ReferencePoints, parse_points
from tracker.reference_point_form import FORM_FILE, read_answer, write_form

# Largest difference between two timestamps of one frame: at 120 frames per second, frames are 8 ms apart.
SAME_FRAME_S = 0.004


@dataclass(frozen=True, slots=True)
class Parameters:
    """No parameters: extract_frame determines the frame."""


def run(files: StageFiles, _parameters: Parameters, report: Report) -> None:
    """Write `reference_points.json` and `frame_with_points.jpg`.

    Without a points file and a usable answer, writes a form to `await_input.json` and its `frame.jpg`, and raises
    PersonNeeded.
    """
    points_file, answer = files.resource("reference_points"), files.answer()
    if points_file is not None and answer is not None:
        # A person is asked only if there is no file, so the file is newer than the answer.
        report.say(f"using the points of {points_file.name}; the earlier answer is ignored")
    shown, frame_s = _reference_frame(files)
    picture_path = files.upstream("extract_frame", "frame.jpg")
    picture = cv2.imread(str(picture_path))
    if picture is None:
        raise InputMissing(f"{picture_path} is not an image", remedy="Redo extract_frame")
    points, fault = None, ""
    if points_file is not None:
        points = read_points(points_file, shown)
        # extract_frame shows the first frame that is not earlier.
        if not -SAME_FRAME_S <= shown.time_s - points.frame.time_s <= frame_s + SAME_FRAME_S:
            raise PointsInvalid(
                f"{points_file.name} is for the frame at {points.frame.time_s:g} s, but extract_frame chose the frame "
                f"at {shown.time_s:g} s",
                remedy="Redo extract_frame: it will choose the frame of the file",
            )
    elif answer is not None:
        try:
            points = read_answer(answer, shown, shown.time_s)
        except PointsInvalid as error:
            fault = f"the answer cannot be used: {error}"
    if points is None:
        suggestion = parse_points(files.upstream("extract_frame", "proposed_points.json"), shown)
        _draw(picture, suggestion, files.output("frame_with_points.jpg"))
        shutil.copyfile(picture_path, files.output("frame.jpg"))
        raise PersonNeeded(write_form(files.output(FORM_FILE), "frame.jpg", shown.time_s, fault))
    points.write(files.output("reference_points.json"))
    _draw(picture, points, files.output("frame_with_points.jpg"))
    _report_doubts(points, report)
    report.result("reference_points", len(points.points))


def _report_doubts(points: ReferencePoints, report: Report) -> None:
    """Say what is implausible, and what the scale means, before hours are spent."""
    if any(points.origin_m):
        east_m, north_m = points.origin_m
        report.say(f"the coordinates are far from zero, as in UTM: positions count from ({east_m:.0f}, {north_m:.0f})")
    near = points.in_metres()[0]
    for doubt in doubts_about(near):
        report.warning(doubt)
    scale_m = metres_per_pixel_of(near)
    for doubt in doubts_about_scale(scale_m):
        report.warning(doubt)
    report.result("metres_per_pixel", scale_m)


def _reference_frame(files: StageFiles) -> tuple[Frame, float]:
    """The reference frame and the duration of a frame, from `footage.json`. Raises InputMissing."""
    path = files.upstream("extract_frame", "footage.json")
    try:
        footage = json.loads(path.read_text(encoding="utf-8"))
        return Frame(**footage["reference_frame"]), 1 / footage["video"]["rate_fps"]
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InputMissing(f"{path} was not written by extract_frame", remedy="Redo extract_frame") from error


def _draw(picture: Picture, points: ReferencePoints, path: Path) -> None:
    drawn = picture.copy()
    size = max(1.0, picture.shape[1] / 1920)
    for point in points.points:
        place = round(point.x_px), round(point.y_px)
        for colour, width in (((0, 0, 0), 5), ((0, 255, 255), 2)):
            cv2.drawMarker(drawn, place, colour, cv2.MARKER_CROSS, round(26 * size), round(width * size))
            beside = place[0] + round(12 * size), place[1] - round(10 * size)
            cv2.putText(
                drawn,
                point.name,
                beside,
                cv2.FONT_HERSHEY_SIMPLEX,
                0.6 * size,
                colour,
                round(width * size),
                cv2.LINE_AA,
            )
    write_jpeg(path, drawn)
