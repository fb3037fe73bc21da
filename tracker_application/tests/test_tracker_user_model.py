"""A user's ONNX model: every known layout, and every kind of unusable file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tracker.detectors.boxes import Boxes
from tracker.detectors.classes import kind_of, read_classes
from tracker.detectors.user_model import UserModel, Wishes
from tracker.errors import ModelUnusable, ParameterInvalid

SIZE = 64
NAMES = "{0: 'person', 1: 'car', 2: 'bus', 3: 'motorcycle'}"
GREY = np.full((SIZE, SIZE, 3), 90, np.uint8)


def graph_of(  # noqa: PLR0913  a graph has as many sides
    path: Path,
    outputs: dict[str, np.ndarray],
    metadata: dict[str, str] | None = None,
    *,
    size: Sequence[int | str] = (SIZE, SIZE),
    kind: int = TensorProto.FLOAT,
    targets: bool = False,
) -> Path:
    """A network that ignores its input and always returns the same."""
    inputs = [helper.make_tensor_value_info("images", kind, [1, 3, *size])]
    if targets:
        inputs.append(helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, [1, 2]))
    nodes, output_infos = [], []
    for name, value in outputs.items():
        nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value)))
        output_infos.append(
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        )
    model = helper.make_model(
        helper.make_graph(nodes, "constant", inputs, output_infos),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    helper.set_model_props(model, metadata or {})
    onnx.save(model, path)
    return path


def rows(*filled: Sequence[float], columns: int, count: int = 300) -> np.ndarray:
    table = np.zeros((1, count, columns), np.float32)
    for index, row in enumerate(filled):
        table[0, index] = row
    return table


def anchors(*filled: Sequence[float], columns: int) -> np.ndarray:
    return np.ascontiguousarray(rows(*filled, columns=columns, count=84).transpose(0, 2, 1))


def detected(path: Path, picture: np.ndarray = GREY, **wishes: object) -> Boxes:
    found = UserModel(path, Wishes(**wishes)).detect(picture)  # type: ignore[arg-type]
    return found.select(np.argsort(found.x_px))


def as_rows(boxes: Boxes) -> list[tuple[object, ...]]:
    columns = (boxes.x_px, boxes.y_px, boxes.length_px, boxes.width_px, np.degrees(boxes.angle_rad), boxes.score)
    return [(*(round(float(value), 2) for value in row), kind) for *row, kind in zip(*columns, boxes.kind, strict=True)]


# Two vehicles, one horizontal and one vertical, in every layout. A pixel's centre is half a pixel from its corner.
CAR_AND_BUS = [(15.5, 23.5, 20.0, 10.0, 0.0, 0.9, "car"), (43.5, 31.5, 40.0, 12.0, 90.0, 0.8, "truck_bus")]
EDGES = ((6, 19, 26, 29), (38, 12, 50, 52))
MIDDLES = ((16, 24, 20, 10), (44, 32, 12, 40))
RELATIVE = tuple(tuple(value / SIZE for value in box) for box in MIDDLES)
LOGIT = float(np.log(0.9 / 0.1)), float(np.log(0.8 / 0.2))

DETECTION_LAYOUTS = {
    "yolov5": {"output0": rows((*MIDDLES[0], 0.9, 0, 1, 0, 0), (*MIDDLES[1], 0.8, 0, 0, 1, 0), columns=9, count=1200)},
    "yolov8": {"output0": anchors((*MIDDLES[0], 0, 0.9, 0, 0), (*MIDDLES[1], 0, 0, 0.8, 0), columns=8)},
    "end2end": {"output0": rows((*EDGES[0], 0.9, 1), (*EDGES[1], 0.8, 2), columns=6)},
    "rtdetr": {"output0": rows((*RELATIVE[0], 0, 0.9, 0, 0), (*RELATIVE[1], 0, 0, 0.8, 0), columns=8)},
    "detr_logits": {
        "logits": rows((-9, LOGIT[0], -9, -9), (-9, -9, LOGIT[1], -9), columns=4, count=2),
        "pred_boxes": rows(*RELATIVE, columns=4, count=2),
    },
}  # fmt: skip


@pytest.mark.parametrize("layout", DETECTION_LAYOUTS)
def test_upright_boxes_are_read_to_the_pixel_in_every_layout(layout: str, tmp_path: Path) -> None:
    model = UserModel(
        graph_of(tmp_path / "model.onnx", DETECTION_LAYOUTS[layout], {"names": NAMES, "task": "detect"}), Wishes()
    )
    assert model.layout.name == layout
    found = model.detect(GREY)
    assert as_rows(found.select(np.argsort(found.x_px))) == CAR_AND_BUS


def test_the_layout_with_target_sizes_gets_the_input_size(tmp_path: Path) -> None:
    outputs = {
        "labels": np.array([[1, 2]], np.int64),
        "boxes": np.array([EDGES], np.float32),
        "scores": np.array([[0.9, 0.8]], np.float32),
    }
    path = graph_of(tmp_path / "model.onnx", outputs, targets=True)
    assert as_rows(detected(path, classes="1=car 2=truck_bus")) == CAR_AND_BUS


TURNED = [
    ((20, 20, 24, 10, 30), (19.5, 19.5, 24.0, 10.0, 30.0)),
    ((40, 40, 10, 24, 30), (39.5, 39.5, 24.0, 10.0, 120.0)),
    ((50, 20, 24, 10, -20), (49.5, 19.5, 24.0, 10.0, 160.0)),
]


@pytest.mark.parametrize("layout", ["yolo_obb", "end2end_obb"])
@pytest.mark.parametrize(("box_and_angle", "expected"), TURNED)
def test_rotated_boxes_point_along_their_longer_side(
    layout: str, box_and_angle: tuple[float, ...], expected: tuple[float, ...], tmp_path: Path
) -> None:
    *box, degrees = box_and_angle
    angle = np.radians(degrees)
    outputs = {
        "yolo_obb": anchors((*box, 0, 0.9, 0, 0, angle), columns=9),
        "end2end_obb": rows((*box, 0.9, 1, angle), columns=7),
    }[layout]
    metadata = {"names": NAMES, "task": "obb"}
    model = UserModel(graph_of(tmp_path / "model.onnx", {"output0": outputs}, metadata), Wishes())
    assert model.layout.name == layout
    assert as_rows(model.detect(GREY)) == [(*expected, 0.9, "car")]


def test_half_precision_inputs_and_outputs_are_supported(tmp_path: Path) -> None:
    outputs = {"output0": DETECTION_LAYOUTS["yolov8"]["output0"].astype(np.float16)}
    path = graph_of(tmp_path / "model.onnx", outputs, {"names": NAMES}, kind=TensorProto.FLOAT16)
    assert [row[-1] for row in as_rows(detected(path))] == ["car", "truck_bus"]


def test_a_dynamic_input_uses_the_size_in_the_metadata(tmp_path: Path) -> None:
    metadata = {"names": NAMES, "imgsz": "[64, 96]"}
    path = graph_of(tmp_path / "model.onnx", DETECTION_LAYOUTS["yolov8"], metadata, size=("height", "width"))
    model = UserModel(path, Wishes())
    assert (model.width_px, model.height_px) == (96, 64)


def test_a_small_image_is_centred_in_the_input(tmp_path: Path) -> None:
    path = graph_of(tmp_path / "model.onnx", DETECTION_LAYOUTS["yolov8"], {"names": NAMES})
    # 32 x 16 becomes 64 x 32 with 16 rows of grey above and below.
    found = as_rows(detected(path, GREY[:16, :32]))
    assert found[0][:4] == (7.5, 3.5, 10.0, 5.0)


def test_networks_trained_on_stretched_images_get_stretched_images(tmp_path: Path) -> None:
    path = graph_of(tmp_path / "model.onnx", DETECTION_LAYOUTS["rtdetr"], {"names": NAMES})
    found = as_rows(detected(path, GREY[:16, :32]))
    assert found[0][:4] == (7.5, 5.5, 10.0, 2.5)


def brightest(path: Path) -> Path:
    """A network in the layout of end-to-end YOLO that returns one car of 8 x 8 pixels at the white pixel it sees.

    Without a white pixel its score is 0. Made of ONNX operators, so that tiles give different results.
    """
    nodes = [
        helper.make_node("ReduceMax", ["images"], ["grey"], axes=[1], keepdims=0),
        helper.make_node("Reshape", ["grey", "flat"], ["pixels"]),
        helper.make_node("ArgMax", ["pixels"], ["place"], axis=1, keepdims=1),
        helper.make_node("ReduceMax", ["pixels"], ["best"], axes=[1], keepdims=1),
        helper.make_node("Mod", ["place", "width"], ["column"]),
        helper.make_node("Div", ["place", "width"], ["row"]),
        helper.make_node("Cast", ["column"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["row"], ["y"], to=TensorProto.FLOAT),
        helper.make_node("Floor", ["best"], ["score"]),
        helper.make_node("Sub", ["x", "three"], ["left"]),
        helper.make_node("Sub", ["y", "three"], ["top"]),
        helper.make_node("Add", ["x", "five"], ["right"]),
        helper.make_node("Add", ["y", "five"], ["bottom"]),
        helper.make_node("Concat", ["left", "top", "right", "bottom", "score", "one"], ["line"], axis=1),
        helper.make_node("Reshape", ["line", "shape"], ["rows"]),
        helper.make_node("Concat", ["rows", "rest"], ["output0"], axis=1),
    ]
    constants = {
        "flat": np.array([1, SIZE * SIZE]), "width": np.array(SIZE), "three": np.float32([[3]]),
        "five": np.float32([[5]]), "one": np.float32([[1]]), "shape": np.array([1, 1, 6]),
        "rest": np.zeros((1, 299, 6), np.float32),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "brightest", [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 300, 6])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"names": NAMES, "task": "detect", "end2end": "True"})
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("place", [(5, 5), (50, 30), (100, 70), (63, 64), (150, 90)])
def test_a_vehicle_in_a_tiled_image_is_found_once_at_its_position(place: tuple[int, int], tmp_path: Path) -> None:
    picture = np.full((100, 160, 3), 90, np.uint8)
    picture[place[1], place[0]] = 255
    found = as_rows(detected(brightest(tmp_path / "model.onnx"), picture, overlap_px=24))
    # 8 pixels from three before the white one: the centre is half a pixel beyond it, counted from pixel centres.
    assert found == [(place[0] + 0.5, place[1] + 0.5, 8.0, 8.0, 0.0, 1.0, "car")]


def test_a_scaled_image_gives_boxes_in_its_original_pixels(tmp_path: Path) -> None:
    path = graph_of(tmp_path / "model.onnx", DETECTION_LAYOUTS["yolov8"], {"names": NAMES})
    whole = as_rows(detected(path, np.full((128, 128, 3), 90, np.uint8), picture_width_px=64))
    assert whole[0][:4] == (31.5, 47.5, 40.0, 20.0)


def test_duplicate_boxes_of_a_vehicle_are_merged(tmp_path: Path) -> None:
    outputs = {"output0": anchors((16, 24, 20, 10, 0, 0.9, 0, 0), (17, 24, 20, 10, 0, 0, 0.5, 0), columns=8)}
    assert len(detected(graph_of(tmp_path / "model.onnx", outputs, {"names": NAMES}))) == 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("car", "car"), ("van", "car"), ("small vehicle", "car"), ("large-vehicle", "truck_bus"),
        ("LargeVehicle", "truck_bus"), ("trucks", "truck_bus"), ("bus", "truck_bus"), ("bus stop", None),
        ("motorcycle", "two_wheeler"), ("bicycle", "two_wheeler"), ("vehicle", ""), ("person", None),
        ("traffic light", None), ("small dog", None), ("cargo ship", None),
    ],
)  # fmt: skip
def test_class_names_map_to_kinds_of_vehicles(name: str, kind: str | None) -> None:
    assert kind_of(name) == kind


def test_configured_classes_take_precedence_over_names(tmp_path: Path) -> None:
    path = graph_of(tmp_path / "model.onnx", DETECTION_LAYOUTS["yolov8"], {"names": NAMES})
    assert [row[-1] for row in as_rows(detected(path, classes="1=two_wheeler"))] == ["two_wheeler"]
    assert read_classes("0=car, 1=vehicle") == {0: "car", 1: ""}


@pytest.mark.parametrize("text", ["car=0", "0:car", "0=ship", "one=car"])
def test_invalid_classes_are_reported(text: str) -> None:
    with pytest.raises(ParameterInvalid, match="MODEL_CLASSES contains"):
        read_classes(text)


def test_a_file_that_is_not_a_network_is_reported(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("these are words")
    with pytest.raises(ModelUnusable, match=r"model\.onnx is not an ONNX network"):
        UserModel(tmp_path / "model.onnx", Wishes())


def test_an_unknown_layout_is_reported(tmp_path: Path) -> None:
    path = graph_of(tmp_path / "model.onnx", {"output0": np.zeros((1, 1000), np.float32)}, {"names": NAMES})
    with pytest.raises(ModelUnusable, match=r"output0 1x1000\) match no known layout"):
        UserModel(path, Wishes())


def test_a_model_for_another_task_is_rejected(tmp_path: Path) -> None:
    outputs = {"output0": anchors(columns=40), "output1": np.zeros((1, 32, 16, 16), np.float32)}
    path = graph_of(tmp_path / "model.onnx", outputs, {"names": NAMES, "task": "segment"})
    with pytest.raises(ModelUnusable, match="made for the task 'segment'"):
        UserModel(path, Wishes())


def test_an_ambiguous_layout_must_be_configured(tmp_path: Path) -> None:
    outputs = {"output0": rows((*EDGES[0], 0.9, 1), columns=6)}
    path = graph_of(tmp_path / "model.onnx", outputs, {"names": "{0: 'car', 1: 'bus'}"})
    with pytest.raises(ModelUnusable, match="end2end and rtdetr"):
        UserModel(path, Wishes())
    assert as_rows(detected(path, layout="end2end"))[0][:2] == (15.5, 23.5)


def test_a_model_without_vehicle_classes_is_reported_with_its_classes(tmp_path: Path) -> None:
    path = graph_of(tmp_path / "model.onnx", DETECTION_LAYOUTS["yolov8"], {"names": "{0: 'cat', 1: 'dog'}"})
    with pytest.raises(ModelUnusable, match="has no vehicle classes: its classes are cat, dog"):
        UserModel(path, Wishes())


def test_a_model_without_class_names_is_reported(tmp_path: Path) -> None:
    path = graph_of(tmp_path / "model.onnx", DETECTION_LAYOUTS["detr_logits"])
    with pytest.raises(ModelUnusable, match="does not name its classes"):
        UserModel(path, Wishes())
    assert len(detected(path, classes="1=car 2=truck_bus")) == 2


def test_nan_outputs_are_rejected(tmp_path: Path) -> None:
    outputs = {"output0": np.full((1, 8, 84), np.nan, np.float32)}
    path = graph_of(tmp_path / "model.onnx", outputs, {"names": NAMES})
    with pytest.raises(ModelUnusable, match="NaN"):
        UserModel(path, Wishes())


def test_a_network_without_image_input_is_rejected(tmp_path: Path) -> None:
    path = graph_of(tmp_path / "model.onnx", DETECTION_LAYOUTS["yolov8"], {"names": NAMES}, size=(8,))
    with pytest.raises(ModelUnusable, match="not images"):
        UserModel(path, Wishes())


def test_an_unavailable_provider_is_an_error_and_auto_uses_an_available_one(tmp_path: Path) -> None:
    path = graph_of(tmp_path / "model.onnx", DETECTION_LAYOUTS["yolov8"], {"names": NAMES})
    assert UserModel(path, Wishes()).provider == "cpu"
    with pytest.raises(ParameterInvalid, match="PROVIDER is 'openvino', but ONNX Runtime only has"):
        UserModel(path, Wishes(provider="openvino"))
    with pytest.raises(ParameterInvalid, match="Expected auto, tensorrt, cuda, openvino, cpu"):
        UserModel(path, Wishes(provider="gpu"))
