"""The stages in order: name and what each does. A stage is the module of its name, with `Parameters` and `run`."""

from __future__ import annotations

STAGES: dict[str, str] = {
    "define_reference_points": "check the footage, show a frame, take the points that a person clicked on it",
    "track_reference_points": "follow stationary points and register every frame to the reference frame",
    "estimate_camera": "find the scale of the ground, and where the camera is on every frame",
    "detect_vehicles": "find moving vehicles as oriented boxes against a background that stands still",
    "track_vehicles": "join detections to vehicles and smooth where they are and how fast",
    "detect_lanes": "find lanes and their directions from how vehicles drive",
    "record_video": "write a video with boxes, numbers, speeds and trails",
    "export_trajectories": "write the trajectories as tables with units",
    "create_charts": "draw charts, the table behind each, and a report",
}
