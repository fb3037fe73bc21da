"""The pipeline of the chaos rounds: nine stages with a branch."""

from __future__ import annotations

import json

STAGE_SCRIPT = """
echo started
echo "{name} of $WINSLOW_PROJECT" > "$WINSLOW_OUTPUT_DIR/{name}.txt"
for upstream in {upstream}; do cat "$WINSLOW_INPUT_DIR/$upstream"/*.txt >> "$WINSLOW_OUTPUT_DIR/{name}.txt"; done
i=0; while [ $i -lt 2000 ]; do echo "{name} line $i"; i=$((i+1)); done > "$WINSLOW_OUTPUT_DIR/lines.log"
echo "half 50 %"
sleep 0.6
echo "half 100 %"
"""
"""What each stage does: a little of everything, the same bytes every time, long enough to be hit."""

AFTER: dict[str, tuple[str, ...]] = {
    "one": (),
    "two": ("one",),
    "left": ("two",),
    "right": ("two",),
    "left_more": ("left",),
    "join": ("left_more", "right"),
    "seven": ("join",),
    "eight": ("seven",),
    "nine": ("eight",),
}
"""Nine stages with a branch."""


def pipeline_yaml(name: str, image: str | None) -> str:
    """The nine stages as a pipeline file: in containers of the image, or as processes where it is None."""
    shell = ["sh"] if image else []
    stages = "\n".join(
        "\n".join(
            [
                f"  - name: {stage}",
                f"    after: [{', '.join(after)}]",
                f"    args: {json.dumps([*shell, '-c', STAGE_SCRIPT.format(name=stage, upstream=' '.join(after))])}",
                f"    outputs: [{stage}.txt, lines.log]",
            ]
        )
        for stage, after in AFTER.items()
    )
    program = f"image: {image}" if image else "command: [/bin/sh]"
    return (
        f"name: {name}\n{program}\n"
        "defaults:\n"
        "  retries: {count: 5, when: [lost, failed], wait: 0.1, backoff: 1}\n"
        "  warnings: ['^started$']\n"
        "  progress: [{subject: half, pattern: '(?P<percent>\\d+) %'}]\n"
        f"stages:\n{stages}\n"
    )
