"""A user's detector: an ONNX network in one of the common layouts."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tracker.arrays import Floats, Picture
from tracker.detectors.boxes import Boxes
from tracker.detectors.classes import kinds_of_model, names_in
from tracker.detectors.layouts import LAYOUTS, Found, Layout, Outputs, recognise
from tracker.detectors.overlap import without_repeats
from tracker.detectors.providers import Network, input_type, open_network
from tracker.detectors.tiles import PADDING, Fit, Tile, fitted, tiles
from tracker.errors import ModelUnusable, ParameterInvalid

# As a share of the smaller box: boxes with more overlap are one vehicle.
SAME_SHARE = 0.5
# A box that ends this close to an inner edge of a tile is cut by it.
EDGE_PX = 3.0
# Used if the graph leaves its input size open and names none.
OPEN_SIZE_PX, OPEN_STRIDE = 640, 32
MOST_BOXES = 1000


@dataclass(frozen=True, slots=True)
class Wishes:
    """The user's settings. `layout` is `auto` or one of LAYOUTS; `classes` is like `0=car 1=truck_bus`, or "".

    `picture_width_px`: images are scaled to this width first; 0: not scaled. `overlap_px` is the overlap of tiles: the
    length of the longest vehicle.
    """

    provider: str = "auto"
    layout: str = "auto"
    classes: str = ""
    least_score: float = 0.25
    picture_width_px: int = 0
    overlap_px: int = 128


class UserModel:
    """Detects vehicles with a user's network. Raises ModelUnusable for an unusable file, ParameterInvalid."""

    def __init__(self, path: Path, wishes: Wishes) -> None:
        if wishes.layout not in ("auto", *LAYOUTS):
            raise ParameterInvalid(f"MODEL_LAYOUT is {wishes.layout!r}", remedy=f"Expected auto, {', '.join(LAYOUTS)}")
        self.wishes = wishes
        self.network: Network = open_network(path, wishes.provider)
        self.name = path.name
        metadata = self.network.session.get_modelmeta().custom_metadata_map
        names = names_in(metadata)
        self.kinds = kinds_of_model(self.name, names, wishes.classes)
        self.width_px, self.height_px = self._input_size(metadata)
        trial = self._outputs(np.full((self.height_px, self.width_px, 3), PADDING, np.uint8))
        try:
            self.layout: Layout = (
                recognise(trial, metadata, len(names)) if wishes.layout == "auto" else LAYOUTS[wishes.layout]
            )
            self._read(trial)
        except ModelUnusable as error:
            raise ModelUnusable(f"{self.name}: {error.what}", remedy=error.remedy) from None

    @property
    def provider(self) -> str:
        """Where it runs: one of PROVIDERS."""
        return self.network.provider

    def detect(self, picture: Picture) -> Boxes:
        """Vehicles in an image of bytes, height x width x 3, BGR. Raises ModelUnusable."""
        height, width = picture.shape[:2]
        factor = self.wishes.picture_width_px / width if self.wishes.picture_width_px else 1.0
        if factor != 1.0:
            size = self.wishes.picture_width_px, round(height * factor)
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
        height, width = picture.shape[:2]
        overlap_px = round(self.wishes.overlap_px * factor)
        parts, uncut = [], []
        for tile in tiles(width, height, self.width_px, self.height_px, overlap_px):
            piece = picture[tile.top_px : tile.top_px + tile.height_px, tile.left_px : tile.left_px + tile.width_px]
            content, fit = fitted(piece, self.width_px, self.height_px, stretched=self.layout.stretched)
            boxes, inside = self._boxes(self._read(self._outputs(content)), fit, tile, width, height)
            parts.append(boxes)
            uncut.append(inside)
        whole = Boxes.joined(parts)
        # Boxes cut by a tile come last: they are kept only if no other tile saw more.
        kept = without_repeats(whole, whole.score + np.concatenate(uncut), SAME_SHARE)
        return kept if factor == 1.0 else _scaled(kept, 1 / factor)

    def _input_size(self, metadata: dict[str, str]) -> tuple[int, int]:
        inputs = self.network.session.get_inputs()
        shape = inputs[0].shape
        channels = 3
        if len(shape) != 4 or (shape[1] not in (channels, None) and not isinstance(shape[1], str)):  # noqa: PLR2004
            raise ModelUnusable(
                f"{self.name} takes {'x'.join(map(str, shape))}, which are not images",
                remedy="Expected batch x 3 x height x width",
            )
        if input_type(self.network) is None:
            raise ModelUnusable(f"{self.name} takes numbers of type {inputs[0].type}")
        if len(inputs) > 1 and inputs[1].name != "orig_target_sizes":
            raise ModelUnusable(f"{self.name} has an unknown second input, {inputs[1].name!r}")
        stored = _size_in(metadata.get("imgsz", ""))
        height, width = (side if isinstance(side, int) else stored[place] for place, side in enumerate(shape[2:]))
        return width, height

    def _outputs(self, content: Picture) -> Outputs:
        """Run the network on an image of its input size."""
        kind = input_type(self.network)
        values = np.ascontiguousarray(content[:, :, ::-1].transpose(2, 0, 1))[None]
        if kind is not np.uint8:
            values = (values.astype(np.float32) / 255).astype(kind)
        inputs = self.network.session.get_inputs()
        feeds = {inputs[0].name: values}
        if len(inputs) > 1:
            feeds[inputs[1].name] = np.array([[self.width_px, self.height_px]], np.int64)
        arrays = tuple(np.asarray(array, np.float32) for array in self.network.run(feeds))
        names = tuple(output.name for output in self.network.session.get_outputs())
        return Outputs(names, arrays, self.width_px, self.height_px)

    def _read(self, outputs: Outputs) -> Found:
        """Valid boxes of vehicles with sufficient scores. Raises ModelUnusable."""
        try:
            found = self.layout.read(outputs)
        except (IndexError, ValueError) as error:
            raise ModelUnusable(
                f"{self.name} cannot be read with the layout {self.layout.name}", remedy="Set MODEL_LAYOUT to auto"
            ) from error
        if not (np.isfinite(found.score).all() and np.isfinite(found.box).all()):
            raise ModelUnusable(
                f"{self.name} returns values that are not numbers (NaN)",
                remedy="Export it again, without half precision",
            )
        known = np.isin(found.number, list(self.kinds)) & (found.score >= self.wishes.least_score)
        rows = np.flatnonzero(known & (found.box[:, 2:] > 0).all(axis=1))
        rows = rows[np.argsort(-found.score[rows], kind="stable")][:MOST_BOXES]
        return Found(found.box[rows], found.angle_rad[rows], found.score[rows], found.number[rows])

    def _boxes(self, found: Found, fit: Fit, tile: Tile, width: int, height: int) -> tuple[Boxes, Floats]:
        """Boxes of a tile mapped to the image, one per vehicle, and whether they are free of the tile's inner edges."""
        box, angle = fit.back_turned(found.box.astype(np.float64), found.angle_rad.astype(np.float64))
        box[:, :2] += [tile.left_px, tile.top_px]
        lying = box[:, 2] >= box[:, 3]
        length, across = np.where(lying, box[:, 2], box[:, 3]), np.where(lying, box[:, 3], box[:, 2])
        angle = np.mod(np.where(lying, angle, angle + np.pi / 2), np.pi)
        kind = np.array([self.kinds[int(number)] for number in found.number], dtype=object)
        score = np.clip(found.score.astype(np.float64), 0, 1)
        boxes = Boxes(box[:, 0], box[:, 1], length, across, angle, score, kind)
        boxes = without_repeats(boxes, boxes.score, SAME_SHARE)
        half_x = (
            np.abs(np.cos(boxes.angle_rad)) * boxes.length_px + np.abs(np.sin(boxes.angle_rad)) * boxes.width_px
        ) / 2
        half_y = (
            np.abs(np.sin(boxes.angle_rad)) * boxes.length_px + np.abs(np.cos(boxes.angle_rad)) * boxes.width_px
        ) / 2
        left, top = tile.left_px, tile.top_px
        right, bottom = left + tile.width_px, top + tile.height_px
        cut = (left > 0) & (boxes.x_px - half_x < left + EDGE_PX) | (top > 0) & (boxes.y_px - half_y < top + EDGE_PX)
        cut |= (right < width) & (boxes.x_px + half_x > right - EDGE_PX)
        cut |= (bottom < height) & (boxes.y_px + half_y > bottom - EDGE_PX)
        return boxes, (~cut).astype(np.float64)


def _size_in(text: str) -> tuple[int, int]:
    """Height and width from `[640, 640]`, or the usual size."""
    try:
        size = ast.literal_eval(text) if text else OPEN_SIZE_PX
        height, width = (size, size) if isinstance(size, int) else size
        return int(height), int(width)
    except (ValueError, SyntaxError, TypeError):
        return OPEN_SIZE_PX, OPEN_SIZE_PX


def _scaled(boxes: Boxes, factor: float) -> Boxes:
    return Boxes(
        (boxes.x_px + 0.5) * factor - 0.5, (boxes.y_px + 0.5) * factor - 0.5, boxes.length_px * factor,
        boxes.width_px * factor, boxes.angle_rad, boxes.score, boxes.kind,
    )  # fmt: skip
