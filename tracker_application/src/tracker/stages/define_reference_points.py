"""Checks the footage before hours are spent on it, shows a frame, and takes the points a person clicked on it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from tracker.arrays import Floats, Picture
from tracker.asking import FORM_FILE, read_answer, write_form
from tracker.contract import Report, StageFiles
from tracker.errors import FootageDamaged, NotAVideo, PersonNeeded, PointsInvalid
from tracker.footage import Footage, VideoFrame, open_footage
from tracker.parameters import parameter
from tracker.reference import Frame, ReferencePoint, ReferencePoints, parse_points, read_points
from tracker.registration import Registration, propose_points

SLOWEST_FPS = 8.0
SHORTEST_S = 5.0
# Of the luma; black is 16 in most footage.
DARKEST = 26.0
JPEG_QUALITY = 95
# Later frames on which a proposed point must still be where the others say it is.
LOOKS_AHEAD_S = (0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What can be set."""

    reference_time_s: float = parameter(
        0.0, "second of the video whose frame is shown while no points are given", minimum=0
    )
    min_sharpness: float = parameter(15.0, "variance of the Laplacian below which a frame is called blurred", minimum=0)


def run(files: StageFiles, parameters: Parameters, report: Report) -> None:
    """Write `footage.json`, `frame.jpg`, `frame_with_points.jpg`, `proposed_points.json`, `reference_points.json`.

    Raises PersonNeeded, after all but the last and a form in `await_input.json` are written, if the project brings no
    points and there is no answer that can be used.
    """
    given, answer = files.resource("reference_points"), files.answer()
    if given is not None and answer is not None:
        # A person is asked only while there is no file: it came after the answer.
        report.say(f"the points are those of {given.name}; what was answered before is set aside")
    with open_footage(files.video()) as footage:
        facts = footage.facts
        files.output("footage.json").write_text(json.dumps(asdict(facts), indent=2) + "\n", encoding="utf-8")
        report.say(
            f"{footage.path.name}: {facts.codec} {facts.width_px}x{facts.height_px}, "
            f"{facts.rate_fps:.3f} frames a second, {facts.duration_s:.1f} s"
        )
        footage.check_complete()
        _check_pace(footage, report)
        shown = Frame(parameters.reference_time_s, facts.width_px, facts.height_px)
        time_s = parse_points(given, shown).frame.time_s if given else shown.time_s
        frame = _frame_at(footage, time_s)
        shown = Frame(frame.time_s, facts.width_px, facts.height_px)
        picture = frame.colours(facts.width_px, facts.height_px)
        _check_picture(frame, parameters, report)
        proposed = _standing_points(footage, frame)
    cv2.imwrite(str(files.output("frame.jpg")), picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    suggestion = ReferencePoints(
        shown,
        tuple(
            ReferencePoint(f"P{number}", round(x, 1), round(y, 1)) for number, (x, y) in enumerate(proposed.tolist(), 1)
        ),
    )
    suggestion.write(files.output("proposed_points.json"))
    report.result("duration_s", facts.duration_s)
    report.result("frame_size", f"{facts.width_px}x{facts.height_px}")
    report.result("proposed_points", len(proposed))
    points, fault = None, ""
    if given is not None:
        points = read_points(given, shown)
    elif answer is not None:
        try:
            points = read_answer(answer, shown, parameters.reference_time_s)
        except PointsInvalid as error:
            fault = f"the answer cannot be used: {error}"
    if points is None:
        _draw(picture, suggestion, files.output("frame_with_points.jpg"))
        raise PersonNeeded(write_form(files.output(FORM_FILE), "frame.jpg", parameters.reference_time_s, fault))
    points.write(files.output("reference_points.json"))
    _draw(picture, points, files.output("frame_with_points.jpg"))
    report.result("reference_points", len(points.points))


def _check_pace(footage: Footage, report: Report) -> None:
    facts = footage.facts
    if facts.rate_fps < SLOWEST_FPS:
        report.warning(f"{facts.rate_fps:.1f} frames a second are few: fast vehicles may be lost between frames")
    if facts.duration_s < SHORTEST_S:
        report.warning(f"{facts.duration_s:.1f} s are short: vehicles that stand for half of them become background")


def _frame_at(footage: Footage, time_s: float) -> VideoFrame:
    """The reference frame. Also decodes the last second, so that a damaged end is found now."""
    if next(footage.frames_at([max(0.0, footage.facts.duration_s - 1.0)]), None) is None:
        raise FootageDamaged(
            f"{footage.path.name} cannot be decoded up to its end", remedy="Copy it from the camera again"
        )
    for frame in footage.frames_at([time_s]):
        return frame
    raise NotAVideo(f"{footage.path.name} has no frame at {time_s} s: it is {footage.facts.duration_s:.1f} s long")


def _check_picture(frame: VideoFrame, parameters: Parameters, report: Report) -> None:
    luma = frame.luma()
    sharpness = float(cv2.Laplacian(luma, cv2.CV_64F).var())
    report.result("sharpness", sharpness)
    if float(luma.mean()) < DARKEST:
        report.warning(f"the frame at {frame.time_s:.2f} s is nearly black")
    elif sharpness < parameters.min_sharpness:
        report.warning(f"the frame at {frame.time_s:.2f} s is blurred (sharpness {sharpness:.1f})")


def _standing_points(footage: Footage, frame: VideoFrame) -> Floats:
    """Corners that are where all others say they are on a few later frames too; those on vehicles are not."""
    luma = frame.luma()
    candidates = propose_points(luma)
    registration = Registration(luma, candidates)
    standing = registration.usable.copy()
    guess = np.eye(3)
    times = [frame.time_s + ahead for ahead in LOOKS_AHEAD_S if frame.time_s + ahead < footage.facts.duration_s]
    for later in footage.frames_at(times):
        registered = registration.follow(later.luma(), guess)
        if registered is not None:
            standing &= registered.inliers
            guess = np.linalg.inv(registered.to_reference)
    return candidates[standing]


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
    cv2.imwrite(str(path), drawn, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
