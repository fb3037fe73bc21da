"""What a stage wrote, held against the checks of its pipeline: passed or not, and in which words."""

from __future__ import annotations

import json
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from winslow_dagster.pipelines.model.output_checks import Check
from winslow_dagster.stages.checks.evaluation import evaluate
from winslow_dagster.stages.checks.json_check import LARGEST_FILE_BYTES
from winslow_dagster.stages.task.model import CheckResult

TRACKS = "vehicle,speed\n1,12.5\n2,31.0\n\n3,8\n"
CHECK: TypeAdapter[Check] = TypeAdapter(Check)


def checked(output: Path, results: dict[str, str] | None = None, **fields: Any) -> CheckResult:
    check = CHECK.validate_python({"name": "a", "blocking": True, **fields})
    (result,) = evaluate([check], output, results or {})
    assert (result.name, result.severity, result.blocking) == (check.name, check.severity, check.blocking)
    return result


def table(output: Path, text: str | bytes, **fields: Any) -> CheckResult:
    (output / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return checked(output, kind="csv", glob="t.csv", **fields)


def document(output: Path, text: str, **fields: Any) -> CheckResult:
    (output / "a.json").write_text(text)
    return checked(output, kind="json", glob="a.json", **fields)


def test_a_table_that_is_as_it_should_be_passes_and_tells_what_was_seen(tmp_path: Path) -> None:
    bounds = {"speed": {"min": 0, "max": 70}}
    result = table(tmp_path, TRACKS, columns=["vehicle"], min_rows=3, max_rows=3, range=bounds)
    assert result.passed
    assert (result.message, result.file) == ("t.csv has 3 rows", "t.csv")
    assert result.observed == {"rows": 3, "speed.min": 8, "speed.max": 31}


@pytest.mark.parametrize(
    ("text", "fields", "said"),
    [
        ("", {}, "t.csv: the file is empty; expected a header line"),
        (TRACKS, {"columns": ["sped"]}, 't.csv: the column "sped" is missing; did you mean speed?'),
        ("a,a\n1,2\n", {"columns": ["a"]}, 't.csv: the column "a" occurs 2 times'),
        (TRACKS, {"min_rows": 4}, "t.csv: 3 rows, below 4"),
        (TRACKS, {"max_rows": 2}, "t.csv: 3 rows, above 2"),
        (TRACKS, {"range": {"speed": {"max": 30}}}, "t.csv: speed is 31 in line 3, above 30"),
        (TRACKS, {"range": {"speed": {"min": 20}}}, "t.csv: speed is 12.5 in line 2, below 20, and 1 more row"),
        ("a\nx\n", {"range": {"a": {}}}, 't.csv: a is "x" in line 2, which is not a number'),
        ("a\nnan\n", {"range": {"a": {}}}, 't.csv: a is "nan" in line 2, which is not a number'),
        ("a\n1_0\n", {"range": {"a": {}}}, 't.csv: a is "1_0" in line 2, which is not a number'),
        ("a,b\n,1\n", {"range": {"a": {}}}, "t.csv: a is empty in line 2"),
        ("a,b\n1,2\n3\n", {}, "t.csv: line 3 has 1 cell, the header 2"),
        (b"a\n1\n\xff\n", {}, "t.csv is not UTF-8"),
        ('a\n"' + "x" * 200_000, {}, "t.csv cannot be read after row 0: field larger than field limit (131072)"),
        ("a\n" + "x" * 2_000_000, {}, "t.csv: line 2 is longer than 1048576 characters"),
    ],
)
def test_a_table_that_is_not_tells_the_value_and_its_line(
    tmp_path: Path, text: str | bytes, fields: dict[str, Any], said: str
) -> None:
    result = table(tmp_path, text, **fields)
    assert (result.passed, result.message) == (False, said)


def test_a_table_may_have_a_mark_empty_cells_and_another_delimiter(tmp_path: Path) -> None:
    text = "\ufeffa;b\r\n1;\r\n2;3\r\n"
    assert table(tmp_path, text, delimiter=";", columns=["a"], range={"b": {"min": 3, "allow_empty": True}}).passed


def test_a_table_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    with (tmp_path / "t.csv").open("w") as file:
        file.write("a,b\n")
        file.writelines(f"{number},{'x' * 200}\n" for number in range(100_000))
    tracemalloc.start()
    try:
        result = checked(tmp_path, kind="csv", glob="t.csv", range={"a": {"max": 99_999}})
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.observed["rows"] == 100_000
    assert peak_bytes < 1 << 20 < (tmp_path / "t.csv").stat().st_size


def test_files_are_there_or_not_and_as_large_as_they_should_be(tmp_path: Path) -> None:
    (tmp_path / "frame.jpg").write_bytes(b"x" * 2048)
    assert checked(tmp_path, kind="file", glob="*.jpg", min_size_bytes=2048, max_size_bytes=2048).passed
    said = [
        checked(tmp_path, kind="file", glob="frame.jpeg").message,
        checked(tmp_path, kind="file", glob="frame.jpg", min_size_bytes=4096).message,
        checked(tmp_path, kind="file", glob="frame.jpg", max_size_bytes=1024).message,
        checked(tmp_path, kind="file", glob="*.jpg", exists=False).message,
    ]
    assert said == [
        "no file matches frame.jpeg; did you mean frame.jpg?",
        "the size of frame.jpg is 2 KiB, below 4 KiB",
        "the size of frame.jpg is 2 KiB, above 1 KiB",
        "frame.jpg exists, but must not",
    ]
    assert checked(tmp_path, kind="file", glob="*.mp4", exists=False).passed


def test_of_many_files_the_first_that_is_not_as_it_should_be_is_told(tmp_path: Path) -> None:
    for name, size in (("a", 5), ("b", 1), ("c", 2)):
        (tmp_path / name).write_bytes(b"x" * size)
    result = checked(tmp_path, kind="file", glob="*", min_size_bytes=3)
    assert (result.message, result.file) == ("the size of b is 1 B, below 3 B; and 1 more file", "b")
    assert checked(tmp_path, kind="file", glob="*", min_size_bytes=1).message == "3 files match *"


DOCUMENT = json.dumps({"lanes": [{"width/m": 3.25}], "ok": True, "name": "A8", "none": None, "m~n": 1})


@pytest.mark.parametrize(
    "fields",
    [
        {"pointer": "/lanes/0/width~1m", "min": 3, "max": 3.5},
        {"pointer": "/m~0n", "equals": 1},
        {"pointer": "/ok", "equals": True},
        {"pointer": "/name", "equals": "A8"},
        {"pointer": ""},
    ],
)
def test_a_value_of_a_json_file_passes(tmp_path: Path, fields: dict[str, Any]) -> None:
    assert document(tmp_path, DOCUMENT, **fields).passed


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"pointer": "/lanes/0/width~1m", "max": 3}, "/lanes/0/width~1m of a.json is 3.25, above 3"),
        ({"pointer": "/ok", "equals": 1}, "/ok of a.json is true, not 1"),
        ({"pointer": "/ok", "min": 0}, "/ok of a.json is true, which is not a number"),
        ({"pointer": "/none", "min": 0}, "/none of a.json is null, which is not a number"),
        ({"pointer": "/lane"}, 'a.json: the document has no "lane"; did you mean lanes?'),
        ({"pointer": "/lanes/1"}, 'a.json: /lanes is a list of length 1 and has no "1"'),
        ({"pointer": "/lanes/-"}, 'a.json: /lanes is a list of length 1 and has no "-"'),
        ({"pointer": "/name/0"}, 'a.json: /name is "A8" and has no "0"'),
    ],
)
def test_a_value_of_a_json_file_that_is_wrong_is_told(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    result = document(tmp_path, DOCUMENT, **fields)
    assert (result.passed, result.message) == (False, said)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "9" * 5000])
def test_json_that_is_none_does_not_pass(tmp_path: Path, text: str) -> None:
    result = document(tmp_path, text)
    assert not result.passed
    assert result.message.startswith("a.json is not valid JSON: ")


def test_a_json_file_beyond_all_reason_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(LARGEST_FILE_BYTES + 1)
    assert (
        checked(tmp_path, kind="json", glob="a.json").message
        == "a.json is 64 MiB large; JSON files are checked up to 64 MiB"
    )


def test_a_result_that_the_stage_said_is_checked(tmp_path: Path) -> None:
    said = {"vehicles": "12", "road": "A8"}
    passed = checked(tmp_path, said, kind="result", key="vehicles", min=10)
    assert (passed.passed, passed.observed) == (True, {"vehicles": 12})
    assert checked(tmp_path, said, kind="result", key="vehicles", min=13).message == "vehicles is 12, below 13"
    assert checked(tmp_path, said, kind="result", key="road", min=13).message == 'road is "A8", which is not a number'
    assert checked(tmp_path, said, kind="result", key="road").passed
    missing = checked(tmp_path, said, kind="result", key="vehicle")
    assert missing.message == 'the stage did not report the result "vehicle"; did you mean vehicles?'


def test_a_link_out_of_the_outputs_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('"secret"')
    output = tmp_path / "output"
    output.mkdir()
    (output / "a.json").symlink_to(secret)
    result = checked(output, kind="json", glob="a.json", equals="known")
    assert (result.passed, result.message) == (False, "a.json is a link that points out of the output directory")


@pytest.fixture(scope="module")
def written() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


TEXTS = st.text() | st.from_regex(r'[ab,;"\n\r 0-9{}\[\]:.-]*')
CONTENTS = st.binary() | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass"))


@given(content=CONTENTS, delimiter=st.sampled_from([",", ";", "a", " "]))
def test_whatever_is_in_a_file_every_check_has_a_result(content: bytes, delimiter: str, written: Path) -> None:
    (written / "f").write_bytes(content)
    kinds: list[dict[str, Any]] = [
        {"kind": "csv", "glob": "f", "delimiter": delimiter, "range": {"a": {"min": 0}}, "min_rows": 2},
        {"kind": "csv", "glob": "f"},
        {"kind": "json", "glob": "f", "pointer": "/0", "max": 3},
        {"kind": "json", "glob": "*"},
        {"kind": "file", "glob": "f", "max_size_bytes": 5},
    ]
    for kind in kinds:
        result = checked(written, **kind)
        assert result.message
        assert result.message.isprintable()
        assert CheckResult.model_validate_json(result.model_dump_json()) == result
