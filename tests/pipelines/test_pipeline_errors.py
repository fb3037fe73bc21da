"""Every fault of a pipeline file is reported with its exact message and position."""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import dedent

import pytest

from winslow_dagster.errors import PipelineInvalid
from winslow_dagster.pipelines import load, parse_pipeline

HERE = Path(__file__).parent
HEAD = "name: tracks\nimage: tracker:1\nstages:\n"


def faults(file: str) -> list[object]:
    """The cases of a golden file: a description, the content, and the expected problems."""
    _, *sections = (HERE / file).read_text(encoding="utf-8").split("\n## ")
    cases = []
    for section in sections:
        sentence, _, rest = section.partition("\n")
        lines = rest.rstrip("\n").split("\n")
        expected = [line.removeprefix("=> ") for line in lines if line.startswith("=> ")]
        written = "\n".join(line for line in lines if not line.startswith("=> "))
        cases.append(pytest.param(written, expected, id=sentence))
    return cases


def problems_of(content: str | bytes, name: str = "tracks") -> list[str]:
    data = content.encode() if isinstance(content, str) else content
    with pytest.raises(PipelineInvalid) as raised:
        parse_pipeline(data, f"{name}.yaml", name)
    assert str(raised.value) == "\n".join(map(str, raised.value.problems))
    return [str(problem).removeprefix(f"{name}.yaml:") for problem in raised.value.problems]


@pytest.mark.parametrize(("field", "expected"), faults("faults_in_a_stage.txt"))
def test_a_fault_in_a_stage_is_reported_with_its_position(field: str, expected: list[str]) -> None:
    assert problems_of(f"{HEAD}- name: decode\n  {field}\n- name: detect\n  after: []\n") == expected


@pytest.mark.parametrize(("content", "expected"), faults("faults_of_a_file.txt"))
def test_a_fault_of_the_whole_file_is_reported_with_its_position(content: str, expected: list[str]) -> None:
    assert problems_of(content + "\n") == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", "1:1: the file is empty; expected a mapping with `name` and `stages`", id="empty"),
        pytest.param(
            "name: é\x01".encode(),
            "1:8: not valid YAML: control characters are not allowed; expected printable text",
            id="a control character",
        ),
        pytest.param(
            b"name: a\ndescription: \xc3\xa9 \xff\n",
            "2:16: byte 0xff is not UTF-8; expected a text file in UTF-8",
            id="not UTF-8",
        ),
        pytest.param(
            "name: a".encode("utf-16-le"),
            "1:2: not valid YAML: control characters are not allowed; expected printable text",
            id="UTF-16",
        ),
    ],
)
def test_the_first_byte_that_is_not_text_is_reported(content: bytes, expected: str) -> None:
    assert problems_of(content) == [expected]


def test_a_number_with_a_thousand_digits_is_reported() -> None:
    (problem,) = problems_of(f"{HEAD}- name: a\n  cpus: {'9' * 1000}\n")
    assert problem == f'5:9: the number "{"9" * 60}…" is too long; expected at most 100 digits'


def test_all_problems_are_reported_at_once_in_file_order() -> None:
    content = dedent("""\
        name: trucks
        imagee: x
        stages:
          - name: Decode
            timeout: soon
          - name: detect
            image: tracker:1
            after: [decoda, detect]
            gpu: {vendor: nvida}
          - name: detect
            image: tracker:1
            errors: ['(']
    """)
    places = [problem.split(":")[:2] for problem in problems_of(content)]
    assert places == [
        ["1", "7"],
        ["2", "1"],
        ["4", "5"],
        ["4", "11"],
        ["5", "14"],
        ["8", "13"],
        ["8", "21"],
        ["9", "19"],
        ["10", "11"],
        ["12", "14"],
    ]


def test_aliases_that_multiply_are_stopped() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    (problem,) = problems_of("\n".join(lines))
    assert "more than 100000 values after its aliases are expanded; expected fewer aliases" in problem


@pytest.mark.parametrize("opening", ["[", "- ", "? ", "{a: "])
def test_deep_nesting_is_an_error_and_does_not_end_the_process(opening: str) -> None:
    (problem,) = problems_of(opening * 200_000)
    assert "nested more than 32 levels deep" in problem


def test_a_file_that_is_too_large_is_not_read() -> None:
    (problem,) = problems_of(b"#" * (2 << 20))
    assert problem.startswith("1:1: the file is too large")


def test_a_directory_instead_of_a_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "tracks.yaml"
    path.mkdir()
    with pytest.raises(PipelineInvalid) as raised:
        load(path)
    assert str(raised.value) == f"{path}:1:1: not a file; expected a YAML file"


def test_a_pipe_instead_of_a_file_is_reported_without_waiting_for_it(tmp_path: Path) -> None:
    path = tmp_path / "tracks.yaml"
    os.mkfifo(path)
    with pytest.raises(PipelineInvalid, match="not a file"):
        load(path)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "tracks.yaml"
    with pytest.raises(PipelineInvalid) as raised:
        load(path)
    assert str(raised.value) == (
        f"{path}:1:1: the file cannot be read: No such file or directory; expected a file that this user can read"
    )


def test_a_link_cycle_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "tracks.yaml"
    path.symlink_to(path)
    with pytest.raises(PipelineInvalid, match="the file cannot be read"):
        load(path)
