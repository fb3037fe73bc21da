"""Exports the trained network as ONNX with 8-bit convolutions and metadata.

python export.py --network runs/final/network.pt --output ../src/tracker/models/vehicles.onnx --metres 0.1 \
        --calibration crops/tune.npz --threshold 0.4 --seed 7 --version 1
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from network import CLASSES, MULTIPLE, STRIDE, Exported, VehicleNet

CALIBRATION_CROPS = 60


class _Calibration(CalibrationDataReader):
    """Crops that show the range of values inside the network."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as crops:
            self._pictures: Iterator[Any] = iter(crops["pictures"][:CALIBRATION_CROPS])

    def get_next(self) -> dict[str, Any] | None:
        picture = next(self._pictures, None)
        return None if picture is None else {"picture": picture[None]}


def quantise(whole: Path, output: Path, calibration: Path) -> None:
    """Weights of 7 and activations of 8 bits, which is exact on processors without VNNI, too. The heads stay in float.

    Sums are quantised as well: otherwise each would be computed in single precision and quantised again.
    """
    prepared = whole.with_name("prepared.onnx")
    quant_pre_process(str(whole), str(prepared), skip_symbolic_shape=True)
    convolutions = [node.name for node in onnx.load(prepared).graph.node if node.op_type == "Conv"]
    quantize_static(
        str(prepared),
        str(output),
        _Calibration(calibration),
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv", "Add", "Relu"],
        nodes_to_exclude=convolutions[-1:],
    )
    onnx.save(_stem_in_blocks(_read_as_bytes(onnx.load(output))), output)


def _read_as_bytes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Feed the image's bytes directly to the first convolution, without converting to -1..1 and back.

    The calibrated scale shows that the bytes are the same; the calibration must contain black and white.
    """
    graph = model.graph
    byte_order = next(node for node in graph.node if node.op_type == "Transpose")
    leading = [node for node in graph.node if node.op_type in {"Cast", "Div", "Sub"}]
    back = next(
        node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == leading[-1].output[0]
    )
    known = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    scale, zero = float(known[back.input[1]]), int(known[back.input[2]])
    if abs(255 * scale - 2) > 0.01 or zero not in {127, 128}:
        raise SystemExit(f"the calibration images do not span 0 to 255: scale {scale}, zero point {zero}")
    byte_order.output[0] = back.output[0]
    for node in (*leading, back):
        graph.node.remove(node)
    return model


def _stem_in_blocks(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let the first convolution read blocks of 2 x 2 pixels as 12 channels, instead of every other 3 x 3 pixels as 3.

    Its sums are the same integers, but 3 channels take ONNX Runtime a third of the network's time, and 12 a sixth.
    """
    graph = model.graph
    convolution = next(node for node in graph.node if node.op_type == "Conv")
    weights = next(node for node in graph.node if node.output[0] == convolution.input[1]).input[0]
    stored = next(one for one in graph.initializer if one.name == weights)
    kernel = onnx.numpy_helper.to_array(stored)
    blocks = np.zeros((len(kernel), 4 * kernel.shape[1], 2, 2), kernel.dtype)
    # The three rows and columns of the kernel: in the block before or the own one, and where in it.
    places = ((0, 1), (1, 0), (1, 1))
    for y, (block_y, in_y) in enumerate(places):
        for x, (block_x, in_x) in enumerate(places):
            channel = (2 * in_y + in_x) * kernel.shape[1]
            blocks[:, channel : channel + kernel.shape[1], block_y, block_x] = kernel[:, :, y, x]
    stored.CopyFrom(onnx.numpy_helper.from_array(blocks, weights))
    kept = {"dilations": [1, 1], "group": 1, "kernel_shape": [2, 2], "strides": [1, 1], "pads": [1, 1, 0, 0]}
    del convolution.attribute[:]
    convolution.attribute.extend(onnx.helper.make_attribute(name, value) for name, value in kept.items())
    byte_order = next(node for node in graph.node if node.op_type == "Transpose")
    shown, byte_order.output[0] = byte_order.output[0], "planes"
    graph.node.insert(
        list(graph.node).index(byte_order) + 1, onnx.helper.make_node("SpaceToDepth", ["planes"], [shown], blocksize=2)
    )
    return model


def export(weights: Path, output: Path, metadata: dict[str, str], calibration: Path | None) -> None:
    """Write one file including the weights; batch, height and width vary. Single precision without `calibration`."""
    state = torch.load(weights, map_location="cpu", weights_only=True)
    network = VehicleNet(
        *(len(state[name]) for name in ("stem.1.0.weight", "eighth.0.0.weight", "sixteenth.0.0.weight"))
    )
    network.load_state_dict(state)
    example = torch.zeros((1, 8 * MULTIPLE, 8 * MULTIPLE, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the older exporter folds normalisation into convolutions
        torch.onnx.export(
            Exported(network.eval()),
            (example,),
            str(output),
            input_names=["picture"],
            output_names=["scores", "geometry"],
            dynamic_axes={
                "picture": {0: "batch", 1: "height", 2: "width"},
                "scores": {0: "batch", 2: "rows", 3: "columns"},
                "geometry": {0: "batch", 2: "rows", 3: "columns"},
            },
            opset_version=17,
            dynamo=False,
        )
    if calibration:
        with tempfile.TemporaryDirectory() as directory:
            whole = Path(shutil.move(output, Path(directory) / "whole.onnx"))
            quantise(whole, output, calibration)
    model = onnx.load(output)
    del model.metadata_props[:]
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, output)


def main() -> None:
    """Export according to the command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--network", type=Path, required=True)
    options.add_argument("--output", type=Path, required=True)
    options.add_argument("--metres", required=True, help="metres per pixel at which it works best")
    options.add_argument("--threshold", required=True, help="least score of a box, chosen on rendered crops")
    options.add_argument("--seed", required=True, help="seed of the training")
    options.add_argument("--calibration", type=Path, help="calibration crops; without them, single precision")
    options.add_argument("--version", required=True)
    arguments = options.parse_args()
    metadata = {
        "classes": ",".join(CLASSES), "stride": str(STRIDE), "multiple": str(MULTIPLE),
        "metres_per_pixel": arguments.metres, "threshold": arguments.threshold, "seed": arguments.seed,
        "version": arguments.version, "licence": "Apache-2.0",
    }  # fmt: skip
    export(arguments.network, arguments.output, metadata, arguments.calibration)


if __name__ == "__main__":
    main()
