"""Tables survive writing and reading in both formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import InputMissing
from tracker.tables import read_table, write_table

NUMBERS = st.floats(-1e6, 1e6).map(lambda value: round(value, 3)) | st.just(float("nan"))
ROWS = st.lists(st.tuples(st.integers(0, 10**9), NUMBERS, st.sampled_from(["car", "truck_bus", ""])), min_size=1)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@given(rows=ROWS)
def test_a_table_survives_writing_and_reading(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, rows: list[tuple[int, float, str]]
) -> None:
    path = tmp_path_factory.mktemp("table") / f"table{suffix}"
    frames, places, kinds = zip(*rows, strict=True)
    write_table(path, {"frame": frames, "x_m": places, "class": kinds})
    back = read_table(path, ("frame", "x_m", "class"))
    assert back["frame"].tolist() == list(frames)
    np.testing.assert_array_equal(back["x_m"], np.array(places))
    assert back["class"].tolist() == list(kinds)
    assert [path.name for path in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_missing_column_is_rejected(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    write_table(path, {"frame": [1]})
    with pytest.raises(InputMissing, match="no column x_m"):
        read_table(path, ("frame", "x_m"))


def test_an_invalid_parquet_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "detections.parquet"
    path.write_text("frame,x_m\n")
    with pytest.raises(InputMissing, match=r"detections\.parquet is not a Parquet file"):
        read_table(path)
