"""Checkpoints: finished parts of a long stage, kept on disk until the stage is done."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from tracker import __version__

SAMPLES, SAMPLE_BYTES = 4, 1 << 20


def folder_for(checkpoint: Path, sources: Iterable[Path], what: object) -> Path:
    """The directory for results made from these files with `what`; removes those of other files or parameters.

    Large files are identified by their size and samples of their content.
    """
    print_of = hashlib.sha256(json.dumps([__version__, repr(what)]).encode())
    for source in sources:
        size_bytes = source.stat().st_size
        print_of.update(str(size_bytes).encode())
        with source.open("rb") as file:
            for part in range(SAMPLES):
                file.seek(max(0, size_bytes - SAMPLE_BYTES) * part // (SAMPLES - 1))
                print_of.update(file.read(SAMPLE_BYTES))
    folder = checkpoint / print_of.hexdigest()[:20]
    for other in checkpoint.glob("*"):
        if other != folder:
            shutil.rmtree(other)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
