"""The shipped network: its file, the decoding of its outputs, and its detections in rendered images."""

from __future__ import annotations

import csv
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rendered_film import Film

from tracker.detectors.boxes import KINDS, Boxes
from tracker.detectors.shipped import GLANCES, MODEL, PLAIN, Facts, Glance, ShippedNetwork, decode, without_doubles
from tracker.errors import InputMissing, ParameterInvalid
from tracker.geometry import transform

FACTS = Facts(KINDS, 4, 16, 0.08, 0.5, 0, "test")
REACH_M = 1.5
ROOF_M = 0.75


@pytest.fixture(scope="module")
def scene(rendered: Film) -> tuple[np.ndarray, float, list[dict[str, str]], dict[str, str]]:
    """The first frame of the shared film, metres per pixel, and the ground truth."""
    with av.open(str(rendered.video)) as film:
        picture = next(film.decode(video=0)).to_ndarray(format="bgr24")
    with (rendered.directory / "camera_truth.csv").open() as file:
        camera = next(csv.DictReader(file))
    with (rendered.directory / "truth.csv").open() as file:
        vehicles = [row for row in csv.DictReader(file) if row["frame"] == "0" and row["visible"] == "1"]
    ends = transform(np.linalg.inv(_matrix(camera)), np.array([[600.0, 360.0], [700.0, 360.0]]))
    return picture, float(np.hypot(*(ends[1] - ends[0]))) / 100, vehicles, camera


def _matrix(camera: dict[str, str]) -> np.ndarray:
    return np.array([float(camera[f"h{row}{column}"]) for row in "123" for column in "123"]).reshape(3, 3)


def test_the_model_is_small_and_has_metadata() -> None:
    import onnxruntime

    assert MODEL.stat().st_size <= 5e6
    session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
    assert [item.name for item in session.get_inputs()] == ["picture"]
    assert [item.name for item in session.get_outputs()] == ["scores", "geometry"]
    facts = ShippedNetwork(0.08).facts
    assert facts.classes == KINDS
    assert facts.stride == 4
    assert facts.multiple % facts.stride == 0
    assert 0.04 <= facts.metres_per_pixel <= 0.14
    assert 0 < facts.threshold < 1
    assert facts.seed >= 0
    assert facts.version
    assert session.get_modelmeta().custom_metadata_map["licence"] == "Apache-2.0"


def test_the_model_card_matches_the_shipped_version() -> None:
    card = MODEL.with_name("model_card.md").read_text()
    facts = ShippedNetwork(0.08).facts
    assert f"version {facts.version}" in card.lower()
    assert f"{facts.threshold:g}" in card


def test_it_finds_the_vehicles_of_a_rendered_frame(scene: tuple) -> None:
    picture, pixel_m, vehicles, camera = scene
    boxes = ShippedNetwork(pixel_m).detect(picture)
    ground = transform(np.linalg.inv(_matrix(camera)), np.column_stack([boxes.x_px, boxes.y_px]))
    foot, height = np.array([float(camera["x_m"]), float(camera["y_m"])]), float(camera["z_m"])
    ground = foot + (ground - foot) * (height - ROOF_M) / height
    true = np.array([[float(row["x_m"]), float(row["y_m"])] for row in vehicles])
    apart = np.hypot(*(ground[:, None] - true).transpose(2, 0, 1))
    assert len(true) >= 3
    assert (apart.min(0) <= REACH_M).mean() >= 0.8
    assert set(boxes.kind) <= set(KINDS)
    assert (boxes.length_px >= boxes.width_px * 0.8).all()


@pytest.mark.parametrize(
    "glance", [PLAIN, Glance(left_right=True), Glance(up_down=True), Glance(left_right=True, up_down=True)]
)
def test_boxes_of_a_mirrored_image_are_mapped_back(glance: Glance) -> None:
    picture = np.zeros((30, 50, 3), np.uint8)
    cv2.line(picture, (5, 8), (17, 12), (255, 255, 255), 1)
    rows, columns = np.nonzero(glance.of(picture)[..., 0])
    ends = (columns.min(), columns.max()), (rows.min(), rows.max())
    slope = np.polyfit(columns, rows, 1)[0]
    seen = Boxes(
        *(np.array([float(value)]) for value in (*np.mean(ends, axis=1), 12.6, 1, np.arctan(slope), 0.9)),
        np.array(["car"], object),
    )
    restored = glance.back(seen, (50, 30))
    assert (restored.x_px[0], restored.y_px[0]) == pytest.approx((11, 10), abs=0.1)
    assert np.tan(restored.angle_rad[0]) == pytest.approx(4 / 12, abs=0.02)


def test_every_augmentation_finds_the_same_vehicles(scene: tuple) -> None:
    picture, pixel_m, *_ = scene
    network = ShippedNetwork(pixel_m)
    plain, *others = (network.detect(picture, glance=glance) for glance in GLANCES)
    sure = plain.select(plain.score > network.threshold + 0.2)
    assert GLANCES[0] == PLAIN
    assert len(sure) >= 3
    for found in others:
        apart = np.hypot(sure.x_px[:, None] - found.x_px, sure.y_px[:, None] - found.y_px)
        assert (apart.min(axis=1) * pixel_m < 0.4).mean() > 0.9
        turned = np.mod(sure.angle_rad - found.angle_rad[apart.argmin(axis=1)] + np.pi / 2, np.pi) - np.pi / 2
        assert np.median(np.abs(turned)) < 0.1


def test_a_region_gives_the_same_boxes_as_the_whole_image(scene: tuple) -> None:
    picture, pixel_m, *_ = scene
    network = ShippedNetwork(pixel_m)
    whole = network.detect(picture)
    middle = int(np.argmax(whole.score))
    region = (whole.x_px[middle] - 150.0, whole.y_px[middle] - 120.0, 300.0, 240.0)
    part = network.detect(picture, [region])
    inside = (np.abs(whole.x_px + 0.5 - region[0] - 150) < 150) & (np.abs(whole.y_px + 0.5 - region[1] - 120) < 120)
    sure = whole.select(inside & (whole.score > network.threshold + 0.1))
    assert len(sure) >= 1
    for x, y, length in zip(sure.x_px, sure.y_px, sure.length_px, strict=True):
        nearest = int(np.argmin(np.hypot(part.x_px - x, part.y_px - y)))
        assert part.x_px[nearest] == pytest.approx(x, abs=1.0)
        assert part.y_px[nearest] == pytest.approx(y, abs=1.0)
        assert part.length_px[nearest] == pytest.approx(length, rel=0.1)
    assert (np.abs(part.x_px + 0.5 - region[0] - 150) <= 150).all()


def test_overlapping_regions_give_no_duplicates(scene: tuple) -> None:
    picture, pixel_m, *_ = scene
    network = ShippedNetwork(pixel_m)
    height, width = picture.shape[:2]
    whole = network.detect(picture)
    halves = [(0.0, 0.0, 0.6 * width, float(height)), (0.4 * width, 0.0, 0.6 * width, float(height))]
    assert abs(len(network.detect(picture, halves)) - len(whole)) <= 1


@pytest.mark.parametrize("level", [0, 90, 255])
def test_an_empty_image_gives_no_boxes(level: int) -> None:
    assert len(ShippedNetwork(0.06).detect(np.full((200, 330, 3), level, np.uint8))) == 0


def test_no_regions_give_no_boxes() -> None:
    assert len(ShippedNetwork(0.06).detect(np.zeros((64, 64, 3), np.uint8), [])) == 0


def test_a_missing_model_and_a_zero_scale_are_reported(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="no model"):
        ShippedNetwork(0.06, model=tmp_path / "none.onnx")
    with pytest.raises(ParameterInvalid, match="0 m"):
        ShippedNetwork(0)


@given(
    st.tuples(st.floats(40, 210), st.floats(40, 210), st.floats(20, 120), st.floats(0.2, 0.8), st.floats(-1.5, 1.5)),
    st.sampled_from(KINDS),
)
def test_decoding_inverts_encoding(box: tuple[float, ...], kind: str) -> None:
    x, y, length, share, angle = box
    boxes = without_doubles(decode(*_encoded(x, y, length, share * length, angle)[KINDS.index(kind)], FACTS, 0.5))
    assert boxes.kind.tolist() == [kind]
    assert boxes.x_px[0] == pytest.approx(x, abs=1e-3)
    assert boxes.y_px[0] == pytest.approx(y, abs=1e-3)
    assert boxes.length_px[0] == pytest.approx(length, rel=1e-4)
    assert boxes.width_px[0] == pytest.approx(share * length, rel=1e-4)
    assert np.sin(boxes.angle_rad[0] - angle) == pytest.approx(0, abs=1e-4)


def _encoded(*box: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Scores and geometry of one box (x, y, length, width, angle), for each possible class."""
    x, y, length, width, angle = box
    rows, columns = np.mgrid[0:64, 0:64]
    dx, dy = (x + 0.5) / 4 - 0.5 - columns, (y + 0.5) / 4 - 0.5 - rows
    hill = np.exp(-0.5 * (dx**2 + dy**2) / 4)
    numbers = (np.log(length / 4), np.log(width / 4), np.cos(2 * angle), np.sin(2 * angle))
    geometry = np.stack([dx, dy, *(np.full(dx.shape, number) for number in numbers)]).astype(np.float32)
    return [(hill * np.eye(3, dtype=np.float32)[kind][:, None, None], geometry) for kind in range(3)]


def test_the_box_with_the_higher_score_is_kept() -> None:
    boxes = _boxes([(100, 100, 40, 18, 0.1, 0.6), (103, 101, 24, 16, 0.0, 0.9), (100, 125, 40, 18, 0.1, 0.5)])
    kept = without_doubles(boxes)
    assert kept.score.tolist() == [0.9, 0.5]
    assert kept.y_px.tolist() == [101, 125]


def _boxes(rows: list[tuple[float, ...]]) -> Boxes:
    return Boxes(*np.array(rows, float).T, kind=np.array(["car"] * len(rows), object))
