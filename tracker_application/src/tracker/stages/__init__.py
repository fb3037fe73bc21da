"""The stages in order: name and what each does. A stage is the module of its name, with `Parameters` and `run`."""

from __future__ import annotations

STAGES: dict[str, str] = {
    "extract_frame": "check the footage, pick a sharp frame, propose points that stand still",
    "define_reference_points": "take the points that a person clicked on the frame",
    "track_reference_points": "decode the film once: register every frame to the reference frame, write the proxy",
    "estimate_camera": "find the scale of the ground, and where the camera is on every frame",
    "detect_vehicles": "find moving vehicles as oriented boxes against a background that stands still",
    "track_vehicles": "join detections to vehicles and smooth where they are and how fast",
    "detect_lanes": "find lanes and their directions from how vehicles drive",
    "record_video": "write a video with boxes, numbers, speeds and trails",
    "export_trajectories": "write the trajectories as tables with units",
    "create_charts": "draw charts, the table behind each, and a report",
}
