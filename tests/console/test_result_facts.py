"""What is said of results and of files that cannot be shown. Nothing of a file is run, and no file takes long."""

from __future__ import annotations

import io
import pickle
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from winslow_dagster.console.binary_facts import facts_of
from winslow_dagster.console.measures import measure

MODEL = Path(__file__).parents[2] / "tracker_application" / "src" / "tracker" / "models" / "vehicles.onnx"


@pytest.mark.parametrize(
    ("name", "value", "label", "unit"),
    [
        ("mean_speed_km_h", "42.5", "mean speed", "km/h"),
        ("point_error_m", "0.1", "point error", "m"),
        ("acceleration_m_s2", "1", "acceleration", "m/s²"),
        ("vehicles", "12", "vehicles", ""),
        ("formats", "a b", "formats", ""),
        ("method_s", "fast", "method s", ""),
    ],
)
def test_a_result_has_the_unit_of_its_name(name: str, value: str, label: str, unit: str) -> None:
    found = measure(name, value)
    assert (found.name, found.label, found.value, found.unit) == (name, label, value, unit)


def test_a_network_says_its_inputs_and_outputs() -> None:
    with MODEL.open("rb") as file:
        facts = facts_of(file, ".onnx")
    named = {name for name, _ in facts.lines}
    assert facts.kind == "ONNX model"
    assert {"input", "output", "operators", "tensors of weights"} <= named
    assert len(facts.hexadecimal) == 4


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("it was unpickled",)


def test_nothing_is_unpickled() -> None:
    content = pickle.dumps(Trap())
    assert facts_of(io.BytesIO(content), ".pt").kind == "Python pickle"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("archive/data.pkl", content)
        written.writestr("object.npy", b"\x93NUMPY\x01\x00F\x00" + b"{'descr': '|O', 'shape': ()}" + content)
    facts = facts_of(archive, ".pt")
    assert facts.kind == "PyTorch archive"
    assert ("object.npy", "|O ()") in facts.lines


def spoilt() -> Iterator[tuple[str, bytes]]:
    draw = random.Random(11)
    network = MODEL.read_bytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr("a.npy", b"\x93NUMPY\x01\x00F\x00{'descr': '<f4', 'shape': (3,)}")
        written.writestr("bomb.npy", bytes(20 << 20))
    packed = archive.getvalue()
    for suffix, good in ((".onnx", network[:200_000]), (".npz", packed), (".npy", b"\x93NUMPY{'descr': '<f4'}")):
        for _ in range(100):
            content = bytearray(good)
            for _ in range(draw.randrange(1, 20)):
                content[draw.randrange(len(content))] = draw.randrange(256)
            yield suffix, bytes(content[: draw.randrange(len(content))] if draw.random() < 0.3 else content)
    yield from (
        (".onnx", b""),
        (".onnx", b"\x3a" + b"\xff" * 12),
        (".onnx", b"\x08\x01" * 300_000),
        (".npz", b"PK\x05\x06"),
    )
    yield ".npy", b"\x93NUMPY{" + b"[" * 4000 + b"}"
    yield ".npy", b"\x93NUMPY{'descr': __import__('os').getpid()}"


def test_no_file_breaks_its_facts() -> None:
    for suffix, content in spoilt():
        assert len(facts_of(io.BytesIO(content), suffix).lines) <= 50
