"""Where networks run: the available execution providers of ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

from tracker.arrays import Floats
from tracker.errors import ModelUnusable, ParameterInvalid

# The fastest available first.
PROVIDERS = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
ON_A_GPU = ("tensorrt", "cuda")
# ONNX Runtime's errors have only Exception in common.
FAILURES = (
    runtime_errors.Fail,
    runtime_errors.InvalidArgument,
    runtime_errors.InvalidGraph,
    runtime_errors.InvalidProtobuf,
    runtime_errors.NoModel,
    runtime_errors.NotImplemented,
    runtime_errors.RuntimeException,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True, eq=False)
class Network:
    """A loaded ONNX graph. `provider` is the member of PROVIDERS on which it actually runs."""

    session: onnxruntime.InferenceSession
    provider: str
    name: str

    def run(self, values: dict[str, Floats]) -> list[Floats]:
        """All outputs for these inputs. Raises ModelUnusable."""
        try:
            outputs: list[Floats] = self.session.run(None, values)
        except FAILURES as error:
            raise ModelUnusable(f"{self.name} cannot be run ({_first_line(error)})") from error
        return outputs


def open_network(path: Path, wish: str, *, threads: int = 0) -> Network:
    """Load a network on provider `wish`, `auto` or one of PROVIDERS, with at most `threads` CPU threads (0: one per
    core).

    Raises ParameterInvalid for an unknown or unavailable provider, ModelUnusable for a file that is not a network.
    """
    chosen = _candidates(wish)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    try:
        content = path.read_bytes()
        session = onnxruntime.InferenceSession(content, options, providers=[PROVIDERS[name] for name in chosen])
    except FAILURES as error:
        raise ModelUnusable(
            f"{path.name} is not an ONNX network ({_first_line(error)})",
            remedy="Export the model as a single .onnx file",
        ) from error
    used = next(name for name in chosen if PROVIDERS[name] in session.get_providers())
    if wish not in ("auto", used):
        raise ParameterInvalid(
            f"PROVIDER is {wish!r}, which is installed but does not start", remedy="Check its libraries, or use auto"
        )
    return Network(session, used, path.name)


def input_type(network: Network) -> type[np.generic] | None:
    """The number type of its first input; None if images do not have it."""
    kinds: dict[str, type[np.generic]] = {
        "tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8
    }  # fmt: skip
    return kinds.get(network.session.get_inputs()[0].type)


def _candidates(wish: str) -> list[str]:
    """The providers to try, the CPU last."""
    if wish != "auto" and wish not in PROVIDERS:
        raise ParameterInvalid(f"PROVIDER is {wish!r}", remedy=f"Expected auto, {', '.join(PROVIDERS)}")
    installed = onnxruntime.get_available_providers()
    available = [name for name, provider in PROVIDERS.items() if provider in installed]
    if wish == "auto":
        return available
    if wish not in available:
        raise ParameterInvalid(
            f"PROVIDER is {wish!r}, but ONNX Runtime only has {', '.join(available)}",
            remedy="Install an ONNX Runtime with this provider, or use auto",
        )
    return list(dict.fromkeys([wish, "cpu"]))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
