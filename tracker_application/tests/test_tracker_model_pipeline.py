"""A user's network in all stages: a small graph in the YOLOv8 layout that really processes the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from drifting_film import drifting, write
from onnx import TensorProto, helper, numpy_helper

from tracker.cli import main
from tracker.tables import read_table

INPUT = 256
STRIDE = 4
LENGTH_PX, WIDTH_PX, SPEED_PX = 44, 20, 5
METRES_PER_PIXEL, RATE_FPS, SECONDS = 0.1, 20, 5
BLACK = range(50, 60)


def white_finder(path: Path, *, layout: str = "boxes") -> Path:
    """A network whose score at each position is the white share of a vehicle-sized area; boxes have one size.

    With the `layout` classes it classifies the whole image, which cannot be used here.
    """
    side = INPUT // STRIDE
    middles = (np.arange(side) + 0.5) * STRIDE
    x, y = (axis.ravel() for axis in np.meshgrid(middles, middles))
    boxes = np.stack([x, y, np.full_like(x, LENGTH_PX), np.full_like(x, WIDTH_PX)])[None].astype(np.float32)
    constants = {
        "sure": np.float32(-0.7), "steep": np.float32(10), "none": np.float32(0), "all": np.float32(1),
        "flat": np.array([1, 1, side * side]), "boxes": boxes, "classes": np.zeros((1, 1000), np.float32),
    }  # fmt: skip
    # The window is slightly smaller than a vehicle and centred on its cell.
    window = [16, 40]
    margins = [(size - STRIDE) // 2 for size in window] * 2
    nodes = [
        helper.make_node("ReduceMin", ["images"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("Add", ["grey", "sure"], ["above"]),
        helper.make_node("Mul", ["above", "steep"], ["stretched"]),
        helper.make_node("Clip", ["stretched", "none", "all"], ["white"]),
        helper.make_node(
            "AveragePool", ["white"], ["share"], kernel_shape=window, strides=[STRIDE] * 2, pads=margins,
            count_include_pad=1,
        ),
        helper.make_node("Reshape", ["share", "flat"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["output0"], axis=1),
    ]  # fmt: skip
    shape: list[int] = [1, 5, side * side]
    if layout == "classes":
        nodes, shape = [helper.make_node("Identity", ["classes"], ["output0"])], [1, 1000]
    graph = helper.make_graph(
        nodes, "white", [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, INPUT, INPUT])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"names": "{0: 'car'}", "stride": str(STRIDE)})
    onnx.save(model, path)
    return path


@pytest.fixture
def video(outputs: Path) -> Path:
    """A white car that drives to the right at 36 km/h over dark ground; for half a second the image is black."""
    pictures = [(picture * 0.6).astype(np.uint8) for picture in drifting(RATE_FPS * SECONDS)]
    for index, picture in enumerate(pictures):
        # The camera drifts by a quarter of a pixel per frame.
        left, top = round(40 + (SPEED_PX - 1 / 4) * index), round(170 - index / 8)
        picture[top : top + WIDTH_PX, left : left + LENGTH_PX] = 255
        if index in BLACK:
            picture[:] = 0
    return write(outputs.parent / "film.mp4", pictures)


def run_all(outputs: Path, video: Path) -> int:
    points = outputs.parent / "points.json"
    return main(["run", "--video", str(video), "--reference-points", str(points), "--output", str(outputs)])


def test_a_users_model_works_in_all_stages(
    outputs: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_FILE", str(white_finder(tmp_path / "white.onnx")))
    monkeypatch.setenv("DETECTOR", "model")
    monkeypatch.setenv("MODEL_SCORE", "0.85")
    monkeypatch.setenv("VEHICLE_HEIGHT_M", "0")  # it is painted on the ground
    assert run_all(outputs, video) == 0
    boxes = read_table(outputs / "detect_vehicles" / "detections.parquet")
    assert set(boxes["class"]) == {"car"}
    assert not set(boxes["frame"]) & set(BLACK)
    assert len(np.unique(boxes["frame"])) >= (RATE_FPS * SECONDS - len(BLACK)) // 2 - 5  # every other frame is searched
    table = read_table(outputs / "export_trajectories" / "trajectories.csv")
    assert set(table["track_id"]) == {1}
    expected_km_h = SPEED_PX * METRES_PER_PIXEL * RATE_FPS * 3.6
    assert abs(np.median(table["speed_km_h"]) - expected_km_h) < 1
    middle_px = 40 + LENGTH_PX / 2 + SPEED_PX * table["frame"]
    assert np.abs(table["reference_x_px"] - middle_px).max() < 5
    assert (outputs / "create_charts" / "report.html").stat().st_size > 10_000


def test_an_image_classification_model_is_rejected(
    outputs: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODEL_FILE", str(white_finder(tmp_path / "classes.onnx", layout="classes")))
    assert run_all(outputs, video) == 20
    assert "classes.onnx: the model's outputs (output0 1x1000) match no known layout" in capsys.readouterr().err
