"""Strategies for valid forms and their answers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

NAMES = st.from_regex(r"[a-z](_?[a-z0-9]){0,8}", fullmatch=True).filter(
    lambda name: name != "answer" and not name.startswith("winslow_")
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.sampled_from("\t\n"), max_size=12)
PIXELS = st.floats(0, 999, allow_subnormal=False) | st.integers(0, 999)
WORLD = {
    "none": st.none(),
    "metres": st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2),
    "wgs84": st.tuples(st.floats(-180, 180), st.floats(-90, 90)).map(list),
}
WORLD["optional"] = st.none() | WORLD["metres"]

Pair = tuple[dict[str, Any], Any]
"""A field as a file has it, and a valid answer."""


@st.composite
def texts(draw: st.DrawFn) -> Pair:
    value = draw(TEXTS.filter(bool))
    return {"kind": "text"} | draw(st.sampled_from([{}, {"max_length": 12}, {"pattern": "(?s).*"}])), value


@st.composite
def numbers(draw: st.DrawFn) -> Pair:
    if draw(st.booleans()):
        low, high = sorted((draw(st.integers(-1000, 1000)), draw(st.integers(-1000, 1000))))
        return {"kind": "number", "min": low, "max": high, "integer": True}, draw(st.integers(low, high))
    step, count = draw(st.sampled_from([0.1, 0.25, 1e-3, 3])), draw(st.integers(0, 10_000))
    if draw(st.booleans()):
        return {"kind": "number", "min": 1, "step": step}, 1 + count * step
    return {"kind": "number"}, draw(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53))


@st.composite
def choices(draw: st.DrawFn) -> Pair:
    values = st.floats(-9, 9, allow_subnormal=False) | st.integers(-9, 9) | TEXTS.filter(bool)
    options = draw(st.lists(values, min_size=1, max_size=4, unique_by=str))
    written = [draw(st.sampled_from([value, {"value": value, "label": "x"}])) for value in options]
    return {"kind": "choice", "options": written}, draw(st.sampled_from(options))


@st.composite
def marks(draw: st.DrawFn) -> Pair:
    world = draw(st.sampled_from(sorted(WORLD)))
    labels = draw(st.lists(TEXTS.filter(bool), max_size=2))
    label = st.fixed_dictionaries({"label": st.sampled_from(labels)} if labels else {}, optional={})
    corner = st.fixed_dictionaries({"x": PIXELS, "y": PIXELS, "world": WORLD[world]})
    common = {"image": "decode/*.jpg", "world": world, "labels": labels}
    match draw(st.sampled_from(["points", "polygon", "lines"])):
        case "points":
            found = draw(st.lists(st.tuples(label, corner), min_size=1, max_size=4))
            return common | {"kind": "points"}, [one | other for one, other in found]
        case "lines":
            corners = draw(st.lists(corner, min_size=2, max_size=5, unique_by=lambda each: (each["x"], each["y"])))
            return common | {"kind": "lines"}, [draw(label) | {"points": corners}]
        case _:
            # Corners in the order of their directions as seen from the middle never make edges that meet.
            count = draw(st.integers(3, 9))
            radii = draw(st.lists(st.floats(10, 400), min_size=count, max_size=count))
            turns = [2 * math.pi * index / count for index in range(count)]
            corners = [
                draw(corner) | {"x": 500 + radius * math.cos(turn), "y": 500 + radius * math.sin(turn)}
                for radius, turn in zip(radii, turns, strict=True)
            ]
            return common | {"kind": "polygon", "max_count": 3}, [draw(label) | {"points": corners}]


CONFIRMATIONS = st.sampled_from(
    [
        {"accepted": True},
        {"accepted": True, "why": "good"},
        {"accepted": False, "env": {"A": "${B}"}, "args": ["-x"], "why": "too few"},
        {"accepted": False, "memory": "8GiB", "timeout": "2h", "cpus": 2, "image": "a:1"},
    ]
)
FIELDS = (
    texts()
    | numbers()
    | choices()
    | marks()
    | st.booleans().map(lambda value: ({"kind": "boolean"}, value))
    | st.sampled_from(["a.csv", "a $.b.CSV"]).map(lambda name: ({"kind": "file", "suffixes": [".csv"]}, Path(name)))
)


@st.composite
def forms_with_answers(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A form as a stage writes it, and an answer by the names of its fields; files are paths."""
    names = draw(st.lists(NAMES, max_size=5, unique=True))
    form, answer = [], {}
    for index, name in enumerate(names):
        confirm = CONFIRMATIONS.map(lambda value: ({"kind": "confirm", "stage": "detect"}, value))
        field, value = draw(confirm if index == 0 and draw(st.booleans()) else FIELDS)
        form.append(field | {"name": name} | draw(st.sampled_from([{}, {"label": "L", "help": "h"}, {"label": None}])))
        answer[name] = value
    return {"message": draw(TEXTS), "form": form}, answer
