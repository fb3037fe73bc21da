"""A pipeline whose stage writes tables, maps, charts and binaries."""

from __future__ import annotations

from pathlib import Path

from numbered_films import write_film

MAKE = """\
import base64, json, math, pathlib, sys, zipfile
out = pathlib.Path(sys.argv[1])
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
(out / "picture.png").write_bytes(PNG)
(out / "ground.svg").write_text(
    '<svg xmlns="http://www.w3.org/2000/svg" width="1400" height="500"><rect width="1400" height="500" fill="#8a8f88"/>'
    + "".join(f'<rect y="{60 + 40 * n}" width="1400" height="36" fill="#6c7070"/>' for n in range(10)) + "</svg>"
)
rows = ["track_id,time_s,x_px,y_px,speed_kmh,kind,note"]
for track in range(10):
    for step in range(300):
        x, y = 100 + step * 4, 80 + 40 * track + 12 * math.sin(step / 20 + track)
        speed = 45 + 4 * track + 6 * math.sin(step / 30)
        kind = "truck" if track > 7 else "car"
        rows.append(f'{track},{step / 10},{x:.2f},{y:.2f},{speed:.2f},{kind},"a <b>, {step}"')
(out / "tracks.csv").write_text("\\n".join(rows) + "\\n")
(out / "large.csv").write_text("i,double\\n" + "".join(f"{i},{i * 2}\\n" for i in range(300_000)))
(out / "broken.csv").write_bytes(b"a,b\\n1,\\0\\n")
(out / "broken.geojson").write_text('{"type": "FeatureCollection", "features": [{"type": ')
(out / "lanes.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [
    {"type": "Feature", "properties": {"lane": f"L{n} <i>", "width_m": 3.2}, "geometry": {
        "type": "LineString", "coordinates": [[100 + 20 * k, 80 + 40 * n] for k in range(60)]}}
    for n in range(10)
]}))
with zipfile.ZipFile(out / "weights.npz", "w") as archive:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }".ljust(69) + b"\\n"
    archive.writestr("kernel.npy", b"\\x93NUMPY\\x01\\x00F\\x00" + header)
(out / "model.pt").write_bytes(b"\\x80\\x02cos\\nsystem\\n")
print("WINSLOW_RESULT: vehicles=10")
print("WINSLOW_RESULT: mean_speed_kmh=63.25")
"""

RESULTS = """
name: results
command: [sh, -c]
stages:
  - name: make
    args: ['python3 "MAKE_SCRIPT" "$WINSLOW_OUTPUT_DIR" && cp FILM "$WINSLOW_OUTPUT_DIR/film.mp4"']
    views:
      - kind: trajectories
        title: Vehicles
        table: make/tracks.csv
        track: track_id
        time: time_s
        x: x_px
        y: y_px
        class_column: kind
        speed: speed_kmh
        speed_unit: km/h
        picture: make/ground.svg
        video: make/film.mp4
"""

GROWING = """
name: growing
command: [sh, -c]
stages:
  - name: grow
    args:
      - |
        cd "$WINSLOW_OUTPUT_DIR"
        ln -s /etc/passwd link.csv
        mkfifo pipe.csv
        echo "step,loss" > metrics.csv
        n=0
        until [ -e "GATE_FILE" ]; do
          n=$((n+1))
          echo "$n,$((1000 / n))" >> metrics.csv
          sleep 0.2
        done
        rm link.csv pipe.csv
"""


def results(folder: Path) -> dict[str, str]:
    """The pipelines by name."""
    script = folder / "make_results.py"
    script.write_text(MAKE)
    # Browsers do not play every film: of this one, they need a copy.
    film = write_film(folder / "film.mp4", 75, codec="libx265", scale=3, options={"x265-params": "log-level=none"})
    return {
        "results": RESULTS.replace("MAKE_SCRIPT", str(script)).replace("FILM", str(film)),
        "growing": GROWING.replace("GATE_FILE", str(folder / "gate")),
    }
