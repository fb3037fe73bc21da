"""Parameters of the vehicle detection."""

from __future__ import annotations

from dataclasses import dataclass

from tracker.parameters import parameter

DETECTORS = ("fused", "network", "motion", "model")


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters of the stage."""

    detector: str = parameter("fused", "fused (network and motion), network, motion, or model (your own)")
    detection_rate_hz: float = parameter(10.0, "frames searched per second", minimum=0.5)
    network_rate_hz: float = parameter(
        0.0, "how often the network searches the whole frame; 0: 2 on the CPU, 10 on a GPU", minimum=0
    )
    network_score: float = parameter(0.4, "least network score of a stationary vehicle", minimum=0.05, maximum=1)
    provider: str = parameter("auto", "where networks run: auto, cpu, cuda, tensorrt, openvino")
    model_file: str = parameter("", "ONNX file of a detector to use instead of the shipped one")
    model_classes: str = parameter("", "its vehicle classes: 0=car 1=truck_bus 2=two_wheeler 3=vehicle")
    model_layout: str = parameter("auto", "the layout of its outputs, if it is not in the file")
    model_score: float = parameter(0.25, "its least score", minimum=0.01, maximum=1)
    model_picture_width_px: int = parameter(
        0, "width to which images are scaled for it; 0: not scaled, but tiled", minimum=0
    )
    detection_threshold: int = parameter(
        20, "least difference of a vehicle from the road, in grey levels", minimum=3, maximum=200
    )
    background_samples: int = parameter(
        41, "number of frames for the background, from the whole video", minimum=5, maximum=255
    )
    working_width_px: int | None = parameter(
        None,
        "largest width of frames for the search; none: 1920, or more if the film was taken from high up",
        minimum=320,
    )
    min_area_m2: float = parameter(1.2, "least area of a vehicle", minimum=0.1)
    max_length_m: float = parameter(20.0, "largest length of a vehicle", minimum=1)
    max_width_m: float = parameter(4.5, "largest width of a vehicle", minimum=0.5)
    min_fill: float = parameter(0.5, "least share of its rectangle that a vehicle fills", minimum=0, maximum=1)
    vehicle_height_m: float = parameter(
        1.5, "assumed vehicle height for correcting parallax; 0: no correction", minimum=0
    )
    large_vehicle_height_m: float = parameter(3.1, "the same for trucks and buses", minimum=0)
    workers: int | None = parameter(
        None, "number of worker processes; none: one per core as far as memory allows, or one on a GPU", minimum=1
    )
