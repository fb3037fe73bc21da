"""Pipelines of cheap stages for the project's page: they show every kind of file, wait, ask, and fail."""

from __future__ import annotations

from pathlib import Path

MAKE = """\
import base64, pathlib, sys
out = pathlib.Path(sys.argv[1])
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
(out / "picture.png").write_bytes(PNG)
(out / "tracks.csv").write_text("id,speed <b>\\n" + "".join(f"{i},{i * 1.5}\\n" for i in range(500)))
(out / "<img src=x onerror=alert(1)>.txt").write_text("<script>alert('a text')</script>\\n")
(out / "notes & 100%.json").write_text('{"a": 1}\\n')
film = pathlib.Path(sys.argv[0]).with_name("film.mp4")
if film.exists():
    (out / "film.mp4").write_bytes(film.read_bytes())
(out / "data.bin").write_bytes(bytes(range(256)) * 4096)
(out / "deep" / "er").mkdir(parents=True)
(out / "deep" / "er" / "drawing.svg").write_text(
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><rect width="40" height="40" fill="teal"/>'
    '<script>fetch("/api/v1/health?from=svg")</script></svg>'
)
(out / "report.html").write_text(
    "<!doctype html><meta charset=utf-8><title>Report</title><h1 id=made>Report</h1><script>"
    "document.getElementById('made').textContent = 'Report with ' + (1 + 1) + ' charts';"
    "let reached = 0;"
    "fetch('/api/v1/health?from=report').then(() => { reached += 1 }, () => {});"
    "try { reached += parent.document.title.length } catch (error) {}"
    "try { reached += document.cookie.length + 1 } catch (error) {}"
    "const image = new Image(); image.onload = () => { reached += 1 }; image.src = '/static/x/icon.svg?from=report';"
    "setTimeout(() => { document.body.dataset.reached = reached }, 300);"
    "</script>"
)
print("WINSLOW_RESULT: vehicles=42")
print("WINSLOW_RESULT: <i>speed</i>=<b>13.5</b>")
"""

STEPS = """
name: steps
description: A <b>test</b> of the page.
command: [sh, -c]
env: {LEVEL: "1", PLACE: "ulm"}
stages:
  - name: make
    description: Writes <em>every kind</em> of file.
    args: ['python3 "$MAKE" "$WINSLOW_OUTPUT_DIR"']
    env: {MAKE: "MAKE_SCRIPT", LABEL: "${PLACE}-${LEVEL}", LEVEL: "2"}
    checks:
      - {kind: csv, glob: tracks.csv, min_rows: 10}
      - {kind: result, key: vehicles, max: 40}
    highlights:
      - {glob: picture.png, title: A picture}
      - {glob: tracks.csv}
      - {glob: report.html, title: Report}
      - {glob: deep/er/*.svg, title: A drawing}
      - {glob: film.mp4, title: A film}
  - name: gate
    after: [make]
    args:
      - |
        n=0
        until [ -e "$GATE" ]; do n=$((n+1)); echo "frame $n/1000"; sleep 0.2; done
        echo opened > "$WINSLOW_OUTPUT_DIR/gate.txt"
    env: {GATE: "GATE_FILE"}
    progress:
      - {subject: frames, pattern: 'frame (?P<current>\\d+)/(?P<total>\\d+)'}
  - name: behind
    after: [gate]
    args: ['cat "$WINSLOW_INPUT_DIR/gate/gate.txt" > "$WINSLOW_OUTPUT_DIR/behind.txt"']
  - name: last
    after: [behind]
    args: ['echo "WINSLOW_RESULT: done=1"; echo y > "$WINSLOW_OUTPUT_DIR/last.txt"']
"""
FAILING = """
name: failing
command: [sh, -c]
stages:
  - name: good
    args: ['echo fine > "$WINSLOW_OUTPUT_DIR/fine.txt"']
  - name: bad
    after: [good]
    args:
      - |
        echo starting
        [ -e "$CURE" ] && exec sh -c 'echo cured > "$WINSLOW_OUTPUT_DIR/ok.txt"'
        echo "ERROR <script>document.title=1</script> no such camera"
        echo "ERROR second"
        exit 3
    env: {CURE: "CURE_FILE"}
    errors: ['^ERROR']
"""
ASKING = """
name: asking
command: [sh, -c]
stages:
  - name: choose
    args: ['echo "$SIDE $COUNT" > "$WINSLOW_OUTPUT_DIR/side.txt"']
    needs_input:
      when: once
      message: Which <b>side</b>?
      form:
        - {kind: choice, name: side, options: [north, south]}
        - {kind: number, name: count, min: 1, max: 9, default: 3}
        - {kind: text, name: remark, required: false}
        - {kind: boolean, name: fast, required: false}
"""
QUICK = """
name: quick
command: [sh, -c]
stages:
  - name: only
    args: ['echo "WINSLOW_RESULT: score=$SCORE"; echo "$SCORE" > "$WINSLOW_OUTPUT_DIR/score.txt"']
    env: {SCORE: "1"}
"""
TUNED = """
name: tuned
command: [sh, -c]
env:
  PLACE: ulm # where it was <b>filmed</b>
stages:
  - name: look
    args: ['echo "$PLACE" > "$WINSLOW_OUTPUT_DIR/place.txt"']
  - name: detect
    after: [look]
    description: Finds vehicles.
    gpu: {count: 1, optional: true}
    args: ['echo "WINSLOW_RESULT: score=$THRESHOLD"; echo "$THRESHOLD $DETECTOR" > "$WINSLOW_OUTPUT_DIR/found.txt"']
    env:
      THRESHOLD: 0.4 # least score of a vehicle; lower values find more
      DETECTOR: fused # network and motion; or one of: network, motion
      MAX_LOST_SECONDS: 10 # then it stops
      KEY: {secret: true} # opens the archive
  - name: count
    after: [detect]
    args:
      - |
        echo "WINSLOW_RESULT: counted=$LIMIT"
        echo "WINSLOW_RESULT: twice=$((2 * LIMIT))"
        cp "$WINSLOW_INPUT_DIR/detect/found.txt" "$WINSLOW_OUTPUT_DIR/counted.txt"
    env: {LIMIT: "5"}
  - name: report
    after: [count]
    args: ['cp "$WINSLOW_INPUT_DIR/count/counted.txt" "$WINSLOW_OUTPUT_DIR/report.txt"']
"""


def pipelines(folder: Path) -> dict[str, str]:
    """The pipelines by name. A stage waits until `folder/gate` exists, and one fails until `folder/cure` does."""
    script = folder / "make.py"
    script.write_text(MAKE)
    texts = {"steps": STEPS, "failing": FAILING, "asking": ASKING, "quick": QUICK, "tuned": TUNED}
    return {
        name: text.replace("MAKE_SCRIPT", str(script))
        .replace("GATE_FILE", str(folder / "gate"))
        .replace("CURE_FILE", str(folder / "cure"))
        for name, text in texts.items()
    }
