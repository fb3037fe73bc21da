"""Writes the trained network as ONNX, with what a reader must know of it as metadata.

python export.py --network runs/final/network.pt --output ../src/tracker/models/vehicles.onnx --metres 0.07 \
        --threshold 0.4 --seed 7 --version 1
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import onnx
import torch

from network import CLASSES, MULTIPLE, STRIDE, Exported, VehicleNet


def export(weights: Path, output: Path, metadata: dict[str, str]) -> None:
    """One file, weights inside; batch, height and width free."""
    network = VehicleNet()
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
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
    model = onnx.load(output)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, output)


def main() -> None:
    """Export with options of the command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--network", type=Path, required=True)
    options.add_argument("--output", type=Path, required=True)
    options.add_argument("--metres", required=True, help="metres per pixel at which it works best")
    options.add_argument("--threshold", required=True, help="score from which a box counts, chosen on rendered crops")
    options.add_argument("--seed", required=True, help="of the training")
    options.add_argument("--version", required=True)
    given = options.parse_args()
    metadata = {
        "classes": ",".join(CLASSES), "stride": str(STRIDE), "multiple": str(MULTIPLE),
        "metres_per_pixel": given.metres, "threshold": given.threshold, "seed": given.seed,
        "version": given.version, "licence": "Apache-2.0",
    }  # fmt: skip
    export(given.network, given.output, metadata)


if __name__ == "__main__":
    main()
