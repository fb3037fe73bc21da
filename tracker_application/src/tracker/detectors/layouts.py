"""Output layouts of object detectors: how to recognise and read them.

All yield rows of centre, size, angle, score and class, in pixels of the network's input that count from the corner of
the upper left one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tracker.arrays import Floats
from tracker.errors import ModelUnusable

# End-to-end detectors have a few hundred rows, anchor-based ones thousands.
MOST_QUERIES = 1000
BOX, SCORED_BOX = 4, 6


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """N boxes: `box` is n x 4 (centre x, y, extent along and across the angle), `angle_rad` is clockwise from x."""

    box: Floats
    angle_rad: Floats
    score: Floats
    number: Floats


@dataclass(frozen=True, slots=True)
class Outputs:
    """The outputs of one run of a network: names and arrays, and the input's size."""

    names: tuple[str, ...]
    arrays: tuple[Floats, ...]
    width_px: int
    height_px: int

    def named(self, part: str) -> Floats | None:
        """The first output with `part` in its name, without the batch dimension."""
        return next((array[0] for name, array in zip(self.names, self.arrays, strict=True) if part in name), None)


@dataclass(frozen=True, slots=True)
class Layout:
    """An output layout. `stretched`: the network was trained on images stretched to its input, not padded."""

    name: str
    read: Callable[[Outputs], Found]
    stretched: bool = False


def _best(box: Floats, scores: Floats, angle: Floats | None = None) -> Found:
    number = scores.argmax(axis=1)
    return Found(box, np.zeros(len(box)) if angle is None else angle, scores[np.arange(len(scores)), number], number)


def _from_edges(edges: Floats) -> Floats:
    """Left, top, right, bottom to centre and size."""
    middle, size = (edges[:, :2] + edges[:, 2:]) / 2, edges[:, 2:] - edges[:, :2]
    return np.hstack([middle, size])


def _yolov5(outputs: Outputs) -> Found:
    rows = outputs.arrays[0][0]
    return _best(rows[:, :BOX], rows[:, 5:] * rows[:, 4:5])


def _yolov8(outputs: Outputs) -> Found:
    rows = outputs.arrays[0][0].T
    return _best(rows[:, :BOX], rows[:, BOX:])


def _yolo_obb(outputs: Outputs) -> Found:
    rows = outputs.arrays[0][0].T
    return _best(rows[:, :BOX], rows[:, BOX:-1], rows[:, -1])


def _end2end(outputs: Outputs) -> Found:
    rows = outputs.arrays[0][0]
    return Found(_from_edges(rows[:, :BOX]), np.zeros(len(rows)), rows[:, 4], rows[:, 5].round().astype(np.int64))


def _end2end_obb(outputs: Outputs) -> Found:
    rows = outputs.arrays[0][0]
    return Found(rows[:, :BOX], rows[:, 6], rows[:, 4], rows[:, 5].round().astype(np.int64))


def _relative(outputs: Outputs, box: Floats) -> Floats:
    pixels: Floats = box * np.array([outputs.width_px, outputs.height_px] * 2)
    return pixels


def _rtdetr(outputs: Outputs) -> Found:
    rows = outputs.arrays[0][0]
    return _best(_relative(outputs, rows[:, :BOX]), rows[:, BOX:])


def _detr_logits(outputs: Outputs) -> Found:
    logits, box = outputs.named("logits"), outputs.named("boxes")
    if logits is None or box is None:
        raise ValueError("a layout is recognised before it is read")
    return _best(_relative(outputs, box), 1 / (1 + np.exp(-logits)))


def _rtdetr_labels(outputs: Outputs) -> Found:
    labels, box, scores = (outputs.named(part) for part in ("labels", "boxes", "scores"))
    if labels is None or box is None or scores is None:
        raise ValueError("a layout is recognised before it is read")
    return Found(_from_edges(box), np.zeros(len(box)), scores, labels.astype(np.int64))


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("yolov5", _yolov5),
        Layout("yolov8", _yolov8),
        Layout("yolo_obb", _yolo_obb),
        Layout("end2end", _end2end),
        Layout("end2end_obb", _end2end_obb),
        Layout("rtdetr", _rtdetr, stretched=True),
        Layout("detr_logits", _detr_logits, stretched=True),
        Layout("rtdetr_labels", _rtdetr_labels, stretched=True),
    )
}


def recognise(outputs: Outputs, metadata: Mapping[str, str], classes: int) -> Layout:
    """Recognise the layout of the outputs by shapes, names and metadata (as Ultralytics writes them).

    `classes` is the number of classes that the graph names, 0 if none. Raises ModelUnusable if no layout fits, or two
    do.
    """
    shapes = [array.shape for array in outputs.arrays]
    task = metadata.get("task", "")
    if task not in ("", "detect", "obb"):
        raise ModelUnusable(f"the model was made for the task {task!r}", remedy="Use a model made for detect or obb")
    fitting = _fitting(outputs, task, classes, end_to_end=metadata.get("end2end", "").lower() == "true")
    if len(fitting) != 1:
        seen = ", ".join(
            f"{name} {'x'.join(map(str, shape))}" for name, shape in zip(outputs.names, shapes, strict=True)
        )
        what = f"match several layouts: {' and '.join(fitting)}" if fitting else "match no known layout"
        raise ModelUnusable(
            f"the model's outputs ({seen}) {what}",
            remedy=f"Known layouts are {', '.join(LAYOUTS)}; set one in MODEL_LAYOUT",
        )
    return LAYOUTS[fitting[0]]


def _fitting(outputs: Outputs, task: str, classes: int, *, end_to_end: bool) -> Sequence[str]:
    if outputs.named("logits") is not None and outputs.named("boxes") is not None:
        return ["detr_logits"]
    if all(outputs.named(part) is not None for part in ("labels", "boxes", "scores")):
        return ["rtdetr_labels"]
    first = outputs.arrays[0]
    if first.ndim != 3 or len(first) != 1 or (len(outputs.arrays) > 1 and task != ""):  # noqa: PLR2004  batch, rows, columns
        return []
    _, rows, columns = first.shape
    if rows < columns:
        return _by_columns(rows, task, classes)
    if rows > MOST_QUERIES:
        return ["yolov5"] if columns > 5 and classes in (0, columns - 5) else []  # noqa: PLR2004  box and objectness
    return _by_queries(columns, task, classes, end_to_end=end_to_end)


def _by_columns(rows: int, task: str, classes: int) -> list[str]:
    """One column per anchor."""
    straight = rows > BOX and task != "obb" and classes in (0, rows - BOX)
    turned = rows > BOX + 1 and task != "detect" and classes in (0, rows - BOX - 1)
    return [name for name, fits in (("yolov8", straight), ("yolo_obb", turned)) if fits]


def _by_queries(columns: int, task: str, classes: int, *, end_to_end: bool) -> list[str]:
    """One row per object."""
    ended = columns == SCORED_BOX and task != "obb"
    ended_turned = columns == SCORED_BOX + 1 and task != "detect"
    relative = not end_to_end and columns > BOX and task != "obb" and classes in (0, columns - BOX)
    candidates = (("end2end", ended), ("end2end_obb", ended_turned), ("rtdetr", relative))
    return [name for name, fits in candidates if fits]
