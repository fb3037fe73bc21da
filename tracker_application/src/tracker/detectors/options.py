"""How vehicles are searched for: what can be set."""

from __future__ import annotations

from dataclasses import dataclass

from tracker.parameters import parameter

DETECTORS = ("fused", "network", "motion", "model")


@dataclass(frozen=True, slots=True)
class Parameters:
    """What can be set."""

    detector: str = parameter("fused", "fused (network and motion), network, motion, or model (a user's own)")
    detection_rate_hz: float = parameter(10.0, "how many frames a second are searched", minimum=0.5)
    network_rate_hz: float = parameter(
        0.0, "how often the network looks at everything; 0: 2 on the CPU, 10 on a GPU", minimum=0
    )
    network_score: float = parameter(
        0.4, "how sure the network must be of a vehicle that does not move", minimum=0.05, maximum=1
    )
    provider: str = parameter("auto", "where networks are computed: auto, cpu, cuda, tensorrt, openvino")
    model_file: str = parameter("", "a detector as ONNX file, in place of the one that is shipped")
    model_classes: str = parameter("", "which of its classes are vehicles: 0=car 1=truck_bus 2=two_wheeler 3=vehicle")
    model_layout: str = parameter("auto", "how its outputs are laid out, where its file does not tell")
    model_score: float = parameter(0.25, "how sure it must be", minimum=0.01, maximum=1)
    model_picture_width_px: int = parameter(
        0, "width to which pictures are brought for it; 0: as they are, in tiles", minimum=0
    )
    detection_threshold: int = parameter(
        20, "grey levels that a vehicle differs from the road at least", minimum=3, maximum=200
    )
    background_samples: int = parameter(
        41, "frames the background is made from, over the whole video", minimum=5, maximum=255
    )
    working_width_px: int = parameter(1920, "width at most to which frames are reduced for the search", minimum=320)
    min_area_m2: float = parameter(1.2, "smallest area of a vehicle", minimum=0.1)
    max_length_m: float = parameter(20.0, "longest vehicle", minimum=1)
    max_width_m: float = parameter(4.5, "widest vehicle", minimum=0.5)
    min_fill: float = parameter(0.5, "share of its rectangle that a vehicle fills at least", minimum=0, maximum=1)
    vehicle_height_m: float = parameter(
        1.5, "height assumed to correct how vehicles lean outwards; 0: no correction", minimum=0
    )
    large_vehicle_height_m: float = parameter(3.1, "the same for trucks and buses", minimum=0)
    workers: int | None = parameter(
        None, "processes that share the film; none: as many as there are cores and memory for, one on a GPU", minimum=1
    )
