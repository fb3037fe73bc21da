"""The stage image of the TrackerApplication, under a name for tests. For tests marked `docker`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMAGE = "winslow-test-tracker-application:1"


def tracker_image() -> str:
    """The image, built as by `make images`. A build of the same source before this one leaves little to do."""
    built = subprocess.run(
        ["deploy/images/build.sh"],
        cwd=ROOT,
        env={**os.environ, "TAG": IMAGE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr[-3000:]
    return IMAGE
