"""An installation whose projects have attempts that are worth comparing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import arro3.core as arrow
import project_server
from arro3.io import write_parquet
from numbered_films import write_film
from project_server import Server

MAKE = """\
import os, pathlib, struct, sys, zlib
out, speed = pathlib.Path(sys.argv[1]), int(os.environ["SPEED"])

def png(width, height, colour, shift=speed // 5):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    def pixel(x, y):
        return bytes(colour if (x // 20 + y // 20 + shift) % 2 else (235, 235, 235))
    rows = b"".join(b"\\0" + b"".join(pixel(x, y) for x in range(width)) for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")

(out / "picture.png").write_bytes(png(320, 200, (200, 12 * speed % 255, 40)))
(out / "same.png").write_bytes(png(320, 200, (40, 120, 200), 0))
lines = "".join(f"{n},{n * 0.1:.1f},{speed + n % 7},{'car' if n % 3 else 'bus'}\\n" for n in range(200))
(out / "tracks.csv").write_text("id,time_s,speed,class\\n" + lines)
for name in ("film.mp4", "zones.parquet"):
    made = pathlib.Path(sys.argv[0]).with_name(f"{speed}-{name}")
    if made.exists():
        (out / name).write_bytes(made.read_bytes())
(out / "same.txt").write_text("the same\\n")
(out / "deep").mkdir()
if speed == 20:
    (out / "deep" / "<b>only here.txt").write_text("x" * 5000)
print("starting", flush=True)
print(f"driving at {speed} km/h")
for n in range(20):
    print(f"frame {n} took 0.{speed + n} s")
print(f"WINSLOW_RESULT: mean_speed={speed}")
print(f"WINSLOW_RESULT: vehicles={200 - speed}")
"""
HOSTILE = """\
import os, pathlib, random, sys
out, chance = pathlib.Path(sys.argv[1]), random.Random(os.environ["SPEED"])
NAMES = ["<img src=x onerror=alert(1)>", "quote\\"'s", "%2e%2e", "a b&c=d#e?", "\\u202ertl", "{{7*7}}", "-rf"]
NAMES += ["n" * 200]
KINDS = [
    lambda: chance.randbytes(3000),
    lambda: b"a,b\\n\\0\\n",
    lambda: b"a" * 1_200_000,
    lambda: b",;|\\t" * 500,
    lambda: b'id,x\\n1,"' + b"never closed,\\n" * 20_000,
    lambda: ",".join(f"c{n}" for n in range(5000)).encode() + b"\\n" + b"1," * 4999 + b"%d\\n" % chance.randrange(9),
    lambda: b"\\xef\\xbb\\xbf",
    lambda: b"id,x\\r1,1e999\\r2,nan\\r3,%d\\r" % chance.randrange(9),
    lambda: b"\\xff\\xfe\\xfa,x\\n1,%d\\n" % chance.randrange(9),
    lambda: b"<script>alert(1)</script>,x\\n%d,2\\n" % chance.randrange(9),
    lambda: b"id,x\\n" + b"1,%d\\n" % chance.randrange(9) * 3000,
    lambda: b"",
]
for number in range(120):
    name, ending = NAMES[number % len(NAMES)], ".csv" if number % 10 else ".png"
    (out / f"{number} {name}{ending}").write_bytes(KINDS[number % len(KINDS)]())
sys.stdout.buffer.write(b"\\x1b[31m<script>\\xff\\0 %d\\r\\n" % chance.randrange(9) + b"long" * 50_000 + b"\\n")
sys.stdout.flush()
print("WINSLOW_RESULT: <b>score</b>=<i>" + os.environ["SPEED"] + "</i>")
"""
PIPELINE = """
name: driving
command: [sh, -c]
env: {PLACE: ulm, SPEED: "10"}
stages:
  - name: make
    args: ['python3 "$MAKE" "$WINSLOW_OUTPUT_DIR"']
    env: {MAKE: "MAKE_SCRIPT"}
  - name: report
    after: [make]
    args: ['cat "$WINSLOW_INPUT_DIR/make/same.txt" > "$WINSLOW_OUTPUT_DIR/report.txt"']
"""


HOSTILE_PIPELINE = """
name: hostile
command: [sh, -c]
env: {SPEED: "1"}
stages:
  - name: make
    args: ['python3 "$MAKE" "$WINSLOW_OUTPUT_DIR"']
    env: {MAKE: "MAKE_SCRIPT"}
"""


@contextlib.contextmanager
def compared(folder: Path) -> Iterator[Server]:
    """Projects `left`, with one attempt, and `right`, with three of other speeds."""
    with project_server.running(folder) as server:
        script = folder / "drive.py"
        script.write_text(MAKE)
        write_film(folder / "10-film.mp4", 60, gop=12)
        write_film(folder / "15-film.mp4", 50, gop=12, scale=2)
        for speed in (10, 15):
            counts = {
                "lane": arrow.Array(["a", "b", "c"], arrow.DataType.string()),
                "count": arrow.Array([1, speed, 3], arrow.DataType.int64()),
            }
            write_parquet(arrow.Table.from_pydict(counts), folder / f"{speed}-zones.parquet")
        (folder / "pipelines" / "driving.yaml").write_text(PIPELINE.replace("MAKE_SCRIPT", str(script)))
        server.winslow.run("driving", "left").wait()
        server.winslow.run("driving", "right", env={"SPEED": "15"}).wait()
        for speed in ("20", "25"):
            server.winslow.project("right").redo("make", env={"SPEED": speed}, only=True).wait()
        yield server
