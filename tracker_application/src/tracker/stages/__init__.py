"""The stages in order, with descriptions. Each is the module of its name, with `Parameters` and `run`."""

from __future__ import annotations

STAGES: dict[str, str] = {
    "extract_frame": "check the footage, choose a sharp frame, propose stationary points",
    "define_reference_points": "take the reference points that a person marked on the frame",
    "track_reference_points": "decode the film once: register every frame to the reference frame, write the proxy",
    "estimate_camera": "determine the scale of the ground and the camera pose of every frame",
    "detect_vehicles": "detect vehicles as oriented boxes",
    "track_vehicles": "join detections into tracks, and smooth positions and speeds",
    "detect_lanes": "find lanes and their directions from the trajectories",
    "record_video": "write a video with boxes, numbers, speeds and trails",
    "export_trajectories": "write the trajectories as tables with units",
    "create_charts": "draw charts with their data tables, and write a report",
}
