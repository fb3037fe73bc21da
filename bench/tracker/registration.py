"""Accuracy of the frames' registration and of the camera position, compared with the ground truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tracker.arrays import Floats
from tracker.geometry import transform
from tracker.homographies import read_homographies
from tracker.tables import Table, read_table

from bench.tracker.films import Film

MARGIN_PX = 100.0
COLUMNS, ROWS = 9, 7
ENTRIES = tuple(f"h{row}{column}" for row in "123" for column in "123")


def registration_errors_px(film: Film, outputs: Path) -> Floats:
    """One error per frame and point of a grid that no stage has used; pixels of the reference frame."""
    frame = json.loads((outputs / "define_reference_points" / "reference_points.json").read_text())["frame"]
    table, found = read_homographies(outputs / "track_reference_points" / "homographies.csv")
    truth = read_table(film.directory() / "camera_truth.csv", ENTRIES)
    to_pixels = np.column_stack([truth[name] for name in ENTRIES]).reshape(-1, 3, 3)
    reference = int(np.abs(table["time_s"] - frame["time_s"]).argmin())
    across = np.linspace(MARGIN_PX, frame["width_px"] - MARGIN_PX, COLUMNS)
    down = np.linspace(MARGIN_PX, frame["height_px"] - MARGIN_PX, ROWS)
    grid = np.stack(np.meshgrid(across, down), -1).reshape(-1, 2)
    errors = []
    for matrix, true in zip(found, to_pixels, strict=True):
        in_frame = transform(true @ np.linalg.inv(to_pixels[reference]), grid)
        errors.append(np.hypot(*(transform(matrix, in_frame) - grid).T))
    return np.array(errors)


def camera_errors(film: Film, outputs: Path) -> Floats:
    """Distance between the true and the estimated camera position, as a share of its height, one per frame."""
    found: Table = read_table(outputs / "estimate_camera" / "camera.csv")
    true: Table = read_table(film.directory() / "camera_truth.csv")
    axes = ("x_m", "y_m", "z_m")
    apart = np.sqrt(sum((found[axis] - true[axis]) ** 2 for axis in axes))
    shares: Floats = apart / true["z_m"]
    return shares
