"""Maps a model's class names to kinds of vehicles."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from tracker.detectors.boxes import KINDS
from tracker.errors import ModelUnusable, ParameterInvalid

# Searched in this order: a `car trailer` is a trailer, a `bus stop` is not a vehicle.
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
    """The kind for a class name, "" for an unspecific vehicle, None for anything else."""
    words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()))
    words |= {word[:-1] for word in words if word.endswith("s")}
    if words & NOT_A_VEHICLE:
        return None
    if "vehicle" not in words:
        words -= NEEDS_VEHICLE
    return next((kind for kind, known in WORDS.items() if words & known), None)


def read_classes(text: str) -> dict[int, str]:
    """Parse `0=car 1=truck_bus`: kinds by class number. Raises ParameterInvalid."""
    found = {}
    for part in re.split(r"[\s,;]+", text.strip()):
        number, _, kind = part.partition("=")
        if not number.isdecimal() or kind not in (*KINDS, "vehicle"):
            raise ParameterInvalid(
                f"MODEL_CLASSES contains {part!r}",
                remedy=f"Expected number=kind, where kind is one of {', '.join(KINDS)}, vehicle",
            )
        found[int(number)] = "" if kind == "vehicle" else kind
    return found


def names_in(metadata: Mapping[str, str]) -> dict[int, str]:
    """Class names by number, as YOLO exports write them into the graph; empty if there are none."""
    try:
        names = ast.literal_eval(metadata.get("names", "{}"))
    except (ValueError, SyntaxError):
        return {}
    if isinstance(names, list | tuple):
        names = dict(enumerate(names))
    return {int(number): str(name) for number, name in names.items()} if isinstance(names, dict) else {}


def kinds_of_model(file_name: str, names: Mapping[int, str], setting: str) -> dict[int, str]:
    """Kinds of the vehicle classes; the user's setting takes precedence over names. Raises ModelUnusable."""
    if setting.strip():
        return read_classes(setting)
    if not names:
        raise ModelUnusable(
            f"{file_name} does not name its classes", remedy="Set them, for example MODEL_CLASSES='0=car 1=truck_bus'"
        )
    kinds = {number: kind for number, name in names.items() if (kind := kind_of(name)) is not None}
    if not kinds:
        listed = ", ".join(list(names.values())[:8]) + (", …" if len(names) > 8 else "")  # noqa: PLR2004  a line full
        raise ModelUnusable(
            f"{file_name} has no vehicle classes: its classes are {listed}",
            remedy="Use another model, or set the classes, for example MODEL_CLASSES='0=car 1=truck_bus'",
        )
    return kinds
