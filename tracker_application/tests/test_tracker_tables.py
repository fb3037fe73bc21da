"""Tables survive writing and reading in both formats."""

from __future__ import annotations

from pathlib import Path

import arro3.core as arrow
import numpy as np
import pytest
from arro3.io import write_parquet
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


@given(kept=st.floats(0, 0.999))
def test_an_incomplete_parquet_file_is_reported(tmp_path_factory: pytest.TempPathFactory, kept: float) -> None:
    path = tmp_path_factory.mktemp("table") / "detections.parquet"
    write_table(path, {"frame": range(100), "class": ["car"] * 100})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(InputMissing, match=r"detections\.parquet is not a Parquet file"):
        read_table(path)


def test_a_parquet_table_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "tracks.parquet"
    write_table(path, {"frame": [], "x_m": [], "class": []})
    back = read_table(path, ("frame", "x_m", "class"))
    assert [(name, len(values)) for name, values in back.items()] == [("frame", 0), ("x_m", 0), ("class", 0)]


def test_text_stored_as_numbers_of_a_dictionary_is_read_as_text(tmp_path: Path) -> None:
    path = tmp_path / "tracks.parquet"
    kinds = arrow.Array(["car", "truck_bus", "car"], arrow.DataType.string())
    entries = arrow.DataType.dictionary(arrow.DataType.int32(), arrow.DataType.string())
    write_parquet(arrow.Table.from_pydict({"class": kinds.cast(entries)}), path)
    assert read_table(path)["class"].tolist() == ["car", "truck_bus", "car"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5.0, "5.0"),
        (-0.0, "0.0"),
        (0.25, "0.25"),
        (1234567890.125, "1234567890.125"),
        (12e9, "12000000000.0"),
        (12e16, "1.2e17"),
        (0.000012345, "0.000012345"),
        (0.0000001, "1e-7"),
        (-3.25e-10, "-3.25e-10"),
        (float("nan"), ""),
    ],
)
def test_csv_numbers_are_as_short_as_possible(tmp_path: Path, value: float, text: str) -> None:
    path = tmp_path / "table.csv"
    write_table(path, {"frame": [1], "x_m": [value]}, decimals=12)
    assert path.read_text() == f"frame,x_m\n1,{text}\n"
