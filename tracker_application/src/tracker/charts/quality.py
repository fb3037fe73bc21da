"""Quality of the measurement: camera motion, registration and detections."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np

from tracker.charts.style import BLUE, GREY, ORANGE, STYLE, Chart, new_figure
from tracker.tables import Table
from tracker.vehicles import searched


def camera_drift(camera: Table) -> Chart:
    """The camera's motion."""
    time = camera["time_s"]
    figure = new_figure(7, 4.2)
    with mpl.rc_context(STYLE):
        upper, lower = figure.subplots(2, 1, sharex=True)
        for name, label, colour, dashes in (
            ("x_m", "x", BLUE, "-"), ("y_m", "y", ORANGE, "--"), ("z_m", "height", GREY, "-."),
        ):  # fmt: skip
            upper.plot(time, camera[name] - camera[name][0], color=colour, ls=dashes, lw=1.6, label=label)
        upper.set(ylabel="displacement (m)", title="Camera drift")
        turned = np.degrees(np.unwrap(np.radians(camera["yaw_deg"])))
        lower.plot(time, turned - turned[0], color=BLUE, lw=1.6, label="yaw")
        lower.plot(time, camera["tilt_deg"] - camera["tilt_deg"][0], color=ORANGE, ls="--", lw=1.6, label="tilt")
        lower.set(xlabel="time (s)", ylabel="rotation (degrees)")
        for axes in (upper, lower):
            axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    caption = "Relative to the first frame, with the field of view and the smoothing of estimate_camera."
    return Chart("camera_drift", "Camera drift", caption, figure, camera, "Quality")


def quality(homographies: Table, detections: Table) -> Chart:
    """Registration and detections, frame by frame."""
    frames, time = homographies["frame"], homographies["time_s"]
    looked = np.searchsorted(frames, searched(detections, homographies)[0])
    at = np.searchsorted(frames, detections["frame"])
    found, cut = np.full((2, len(frames)), np.nan)
    for counts, whole in ((found, 1), (cut, 0)):
        counts[looked] = np.bincount(at[detections["whole"] == whole], minlength=len(frames))[looked]
    figure = new_figure(7, 5.6)
    with mpl.rc_context(STYLE):
        residual, inliers, boxes = figure.subplots(3, 1, sharex=True)
        residual.plot(time, homographies["residual_px"], color=BLUE, lw=1.4)
        residual.set(ylabel="residual (px)", title="Quality of the measurement", ylim=(0, None))
        inliers.plot(time, homographies["inliers"], color=BLUE, lw=1.4)
        inliers.set(ylabel="inliers", ylim=(0, None))
        lost = homographies["registered"] == 0
        for axes in (residual, inliers):
            axes.plot(time[lost], np.zeros(int(lost.sum())), "x", color=ORANGE)
        boxes.plot(time[looked], found[looked], color=BLUE, lw=1.4, label="whole")
        boxes.plot(time[looked], cut[looked], color=ORANGE, ls="--", lw=1.4, label="cut by the border")
        boxes.set(xlabel="time (s)", ylabel="boxes detected", ylim=(0, None))
        figure.legend(*boxes.get_legend_handles_labels(), loc="outside lower center", frameon=False, ncols=2)
    table = {name: homographies[name] for name in ("frame", "time_s", "registered", "inliers", "residual_px")}
    caption = (
        "Distance of the reference points from their registered positions (pixels of the footage), number of inliers, "
        "and number of boxes in the frames in which vehicles were searched for. Crosses are frames that could not be "
        "registered."
    )
    return Chart("quality", "Quality", caption, figure, table | {"boxes_whole": found, "boxes_cut": cut}, "Quality")
