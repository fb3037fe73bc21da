"""The table of homographies: one row per frame, frame to reference frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tracker.arrays import Floats
from tracker.tables import Table, read_table, write_table

ENTRIES = tuple(f"h{row}{column}" for row in (1, 2, 3) for column in (1, 2, 3))


def write_homographies(path: Path, columns: Table, matrices: Floats) -> None:
    """Write `matrices` (n x 3 x 3), frame to reference frame, in pixels."""
    entries = {name: matrices.reshape(-1, 9)[:, index] for index, name in enumerate(ENTRIES)}
    write_table(path, columns | entries, decimals=12)


def read_homographies(path: Path) -> tuple[Table, Floats]:
    """Read the table and its n x 3 x 3 matrices."""
    table = read_table(path, ("frame", "time_s", *ENTRIES))
    return table, np.column_stack([table[name] for name in ENTRIES]).reshape(-1, 3, 3)
