"""Pipelines whose stages ask for marks on a picture with known pixels, and for a review."""

from __future__ import annotations

from pathlib import Path

WIDTH, HEIGHT = 3840, 2160
DRAW = """\
import json, pathlib, struct, sys, zlib
out, width, height = pathlib.Path(sys.argv[1]), 3840, 2160
plain, line = bytes([96]) * width, bytes([112]) * width
striped = bytes(112 if x % 240 == 0 else 96 for x in range(width))
rows = [bytearray(line if y % 240 == 0 else striped) for y in range(height)]
for x, y in json.loads(sys.argv[2]):
    rows[y][x] = 255
raw = b"".join(b"\\0" + bytes(row) for row in rows)
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
png = b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw, 1)) + chunk(b"IEND", b"")
(out / "frame.png").write_bytes(png)
points = [{"name": f"p{n}", "x_px": x, "y_px": y} for n, (x, y) in enumerate(json.loads(sys.argv[2]))]
(out / "proposed.json").write_text(json.dumps({"points": points}))
print("WINSLOW_RESULT: dots=" + str(len(points)))
"""
DOTS = ((1201, 803), (2717, 655), (3011, 1777))
"""White pixels of the picture."""
MARKING = """
name: marking
command: [sh, -c]
stages:
  - name: frame
    args: ['python3 "DRAW_SCRIPT" "$WINSLOW_OUTPUT_DIR" "DOTS"']
  - name: mark
    after: [frame]
    args: ['cp "$CORNERS" "$WINSLOW_OUTPUT_DIR/corners.json"; echo "$SIDE" > "$WINSLOW_OUTPUT_DIR/side.txt"']
    needs_input:
      when: once
      message: Mark the <b>corners</b>.
      form:
        - {kind: points, name: corners, image: frame/frame.png, world: optional, min_count: 2,
           propose: frame/proposed.json, label: "<img src=x onerror=alert(1)> corners"}
        - {kind: lines, name: known_length, image: frame/frame.png, required: false, max_count: 1}
        - {kind: number, name: known_length_m, required: false, min: 0.01, unit: m}
        - {kind: polygon, name: road, image: frame/frame.png, required: false, max_count: 2,
           labels: ["lane <1>", "lane 2"]}
        - {kind: text, name: side, default: north}
  - name: after
    after: [mark]
    args: ['cp "$WINSLOW_INPUT_DIR/mark/corners.json" "$WINSLOW_OUTPUT_DIR/copy.json"']
"""
REVIEWING = """
name: reviewing
command: [sh, -c]
stages:
  - name: draw
    args: ['python3 "DRAW_SCRIPT" "$WINSLOW_OUTPUT_DIR" "DOTS"']
  - name: use
    after: [draw]
    args: ['echo used > "$WINSLOW_OUTPUT_DIR/used.txt"; [ -z "$NOTES" ] || cp "$NOTES" "$WINSLOW_OUTPUT_DIR/notes.txt"']
    env: {NOTES: ""}
    needs_input:
      form:
        - {kind: confirm, name: good, stage: draw}
        - {kind: file, name: notes, suffixes: [.txt], required: false}
"""


FILMING = """
name: filming
command: [sh, -c]
inputs:
  film: {kind: video}
stages:
  - name: mark
    args: ['cp "$CORNERS" "$WINSLOW_OUTPUT_DIR/corners.json"']
    needs_input:
      form:
        - {kind: points, name: corners, video: "input:film"}
        - {kind: polygon, name: road, video: "input:film", required: false}
"""


TURNED = """
name: turned
command: [sh, -c]
inputs:
  plan: {kind: image}
stages:
  - name: show
    args: ['cp "$WINSLOW_RESOURCES_DIR/plan/plan.jpg" "$WINSLOW_OUTPUT_DIR/plan.jpg"']
  - name: mark
    after: [show]
    args: ['cp "$CORNERS" "$WINSLOW_OUTPUT_DIR/corners.json"']
    needs_input:
      form:
        - {kind: points, name: corners, image: show/plan.jpg}
"""


def write(folder: Path) -> None:
    """Put the pipelines beside those of the server."""
    script = folder / "draw.py"
    script.write_text(DRAW)
    dots = str([list(dot) for dot in DOTS]).replace(" ", "")
    for name, text in (("marking", MARKING), ("reviewing", REVIEWING), ("filming", FILMING), ("turned", TURNED)):
        (folder / "pipelines" / f"{name}.yaml").write_text(
            text.replace("DRAW_SCRIPT", str(script)).replace("DOTS", dots)
        )
