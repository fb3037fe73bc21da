"""What a model calls its classes, and which kind of vehicle that is."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from tracker.detectors.boxes import KINDS
from tracker.errors import ModelUnusable, ParameterInvalid

# Looked for in this order: a `car trailer` is a trailer, a `bus stop` no vehicle.
NOT_A_VEHICLE = frozenset({"stop", "sign", "lane", "light", "lights", "plate", "wheel", "lamp", "train"})
WORDS = {
    "truck_bus": frozenset({"truck", "lorry", "bus", "trailer", "coach", "tram", "tractor", "large"}),
    "two_wheeler": frozenset({
        "motorcycle", "motorbike", "motorcyclist", "motor", "bicycle", "bike", "cyclist", "scooter", "moped",
        "tricycle", "wheeler",
    }),
    "car": frozenset({"car", "van", "suv", "taxi", "sedan", "hatchback", "pickup", "minivan", "automobile", "small"}),
    "": frozenset({"vehicle", "vehicles"}),
}  # fmt: skip
NEEDS_VEHICLE = frozenset({"large", "small"})


def kind_of(name: str) -> str | None:
    """The kind a class name means, "" for some vehicle, None for none."""
    words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()))
    words |= {word[:-1] for word in words if word.endswith("s")}
    if words & NOT_A_VEHICLE:
        return None
    if "vehicle" not in words:
        words -= NEEDS_VEHICLE
    return next((kind for kind, known in WORDS.items() if words & known), None)


def read_classes(text: str) -> dict[int, str]:
    """`0=car 1=truck_bus`: the kind of each class by number. Raises ParameterInvalid."""
    found = {}
    for part in re.split(r"[\s,;]+", text.strip()):
        number, _, kind = part.partition("=")
        if not number.isdecimal() or kind not in (*KINDS, "vehicle"):
            raise ParameterInvalid(
                f"MODEL_CLASSES holds {part!r}",
                remedy=f"Expected number=kind, a kind being {', '.join(KINDS)}, vehicle",
            )
        found[int(number)] = "" if kind == "vehicle" else kind
    return found


def names_in(metadata: Mapping[str, str]) -> dict[int, str]:
    """The class names by number, as YOLO exports write them into the graph; none if there are none."""
    try:
        names = ast.literal_eval(metadata.get("names", "{}"))
    except (ValueError, SyntaxError):
        return {}
    if isinstance(names, list | tuple):
        names = dict(enumerate(names))
    return {int(number): str(name) for number, name in names.items()} if isinstance(names, dict) else {}


def kinds_of_model(file_name: str, names: Mapping[int, str], given: str) -> dict[int, str]:
    """The kind of each class that is a vehicle; what a person gave goes before the names. Raises ModelUnusable."""
    if given.strip():
        return read_classes(given)
    if not names:
        raise ModelUnusable(
            f"{file_name} does not say what its classes are", remedy="Name them: MODEL_CLASSES='0=car 1=truck_bus'"
        )
    kinds = {number: kind for number, name in names.items() if (kind := kind_of(name)) is not None}
    if not kinds:
        listed = ", ".join(list(names.values())[:8]) + (", …" if len(names) > 8 else "")  # noqa: PLR2004  a line full
        raise ModelUnusable(
            f"{file_name} knows no vehicles: its classes are {listed}",
            remedy="Use another model, or name them: MODEL_CLASSES='0=car 1=truck_bus'",
        )
    return kinds
