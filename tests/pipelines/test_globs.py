from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from winslow_dagster.globs import matches, matches_ignoring_case, matching_files, problem_of
from winslow_dagster.storage.directories import remove_directory


@pytest.mark.parametrize(
    ("pattern", "path", "is_match"),
    [
        ("**", "a/b.csv", True),
        ("*.csv", "a.csv", True),
        ("*.csv", "a/b.csv", False),
        ("**/*.csv", "a.csv", True),
        ("**/*.csv", "a/b/c.csv", True),
        ("./**/x.png", "x.png", True),
        ("./**/x.png", "a/b/x.png", True),
        ("./x.png", "a/x.png", False),
        ("a/**", "a/b/c", True),
        ("a/**", "a", False),
        ("a/**/b", "a/b", True),
        ("a?.csv", "a1.csv", True),
        ("a?.csv", "a/.csv", False),
        ("[ab].csv", "b.csv", True),
        ("[!ab].csv", "b.csv", False),
        ("a[!b]c", "a/c", False),
        ("a[+-9]c", "a/c", False),
        ("[z-a]", "z", False),
        ("a+(b).csv", "a+(b).csv", True),
        ("*", ".hidden", True),
        ("**/*.csv", ".hidden/a.csv", True),
        ("A.csv", "a.csv", False),
        ("line\n*", "line\nfeed", True),
    ],
)
def test_what_a_pattern_means(pattern: str, path: str, is_match: bool) -> None:  # noqa: FBT001  # a table
    assert problem_of(pattern) == ""
    assert matches(path, pattern) is is_match


def test_case_is_ignored_on_request() -> None:
    assert matches_ignoring_case("DCIM/Ulm.MP4", "dcim/*.[a-m]p4")
    assert not matches("DCIM/Ulm.MP4", "dcim/*.[a-m]p4")


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("", "is empty"),
        ("./", "has an empty path segment or a `.`"),
        ("/a", "is an absolute path"),
        ("a/../b", "leads out of the directory"),
        ("a//b", "has an empty path segment or a `.`"),
        ("a/", "has an empty path segment or a `.`"),
        ("a/./b", "has an empty path segment or a `.`"),
        ("**.png", "has `**` beside other characters"),
        ("a/b**", "has `**` beside other characters"),
    ],
)
def test_an_unusable_pattern_is_a_problem(pattern: str, problem: str) -> None:
    assert problem_of(pattern) == problem


NAMES = st.text("ab.", min_size=1, max_size=3).filter(lambda name: name not in {".", ".."})
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
TOKENS = st.sampled_from(["a", "b", ".", "*", "?", "[ab]", "[!a]"])
SEGMENTS = st.just("**") | st.lists(TOKENS, min_size=1, max_size=3).map("".join)
PATTERNS = (
    st.lists(SEGMENTS, min_size=1, max_size=4)
    .map("/".join)
    .filter(lambda pattern: not problem_of(pattern) and not pattern.startswith("./"))
)


class Token(NamedTuple):
    """The first thing in a segment of a pattern, and what follows it."""

    text: str
    rest: str


def first_token(segment: str) -> Token:
    end = segment.index("]") + 1 if segment.startswith("[") else 1
    return Token(segment[:end], segment[end:])


def name_fits(name: str, segment: str) -> bool:
    if not segment:
        return not name
    token = first_token(segment)
    if token.text == "*":
        return any(name_fits(name[taken:], token.rest) for taken in range(len(name) + 1))
    allowed = {"?": "ab.", "[ab]": "ab", "[!a]": "b."}.get(token.text, token.text)
    return bool(name) and name[0] in allowed and name_fits(name[1:], token.rest)


def fits(names: list[str], segments: list[str]) -> bool:
    """The meaning, written down without a thought for time."""
    if not segments:
        return not names
    if segments[0] == "**":
        rest = segments[1:] or ["*"]
        return any(fits(names[taken:], rest) for taken in range(len(names) + 1))
    return bool(names) and name_fits(names[0], segments[0]) and fits(names[1:], segments[1:])


@given(PATHS, PATTERNS)
@example("a/b/a/b", "**/a/**/b")
@example("a/a/b/b", "**/a/b")
def test_a_match_is_what_the_description_says(path: str, pattern: str) -> None:
    assert matches(path, pattern) is fits(path.split("/"), pattern.split("/"))
    assert matches(path, f"./{pattern}") is matches(path, pattern)


def is_free(path: str, others: set[str]) -> bool:
    """Whether the path is neither a directory of the others nor below one of them."""
    return not any(other.startswith(f"{path}/") or path.startswith(f"{other}/") for other in others)


@given(paths=st.lists(PATHS, max_size=8), patterns=st.lists(PATTERNS, max_size=3))
def test_files_are_found_that_match_and_no_others(
    tmp_path_factory: pytest.TempPathFactory, paths: list[str], patterns: list[str]
) -> None:
    directory = tmp_path_factory.mktemp("tree")
    files: set[str] = set()
    for path in paths:
        if is_free(path, files):
            files.add(path)
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).touch()
    expected = sorted(path for path in files if any(matches(path, pattern) for pattern in patterns))
    assert matching_files(directory, patterns) == expected
    if patterns:
        assert matching_files(directory, patterns[0]) == [path for path in sorted(files) if matches(path, patterns[0])]


def test_link_cycles_end(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x.png").touch()
    for name in ("one", "two"):
        (tmp_path / "a" / name).symlink_to(tmp_path / "a")
    (tmp_path / "a" / "self").symlink_to("self")
    assert matching_files(tmp_path, "**/x.png") == ["a/b/x.png"]
    assert matching_files(tmp_path, "/".join(["**"] * 40 + ["x.png"])) == ["a/b/x.png"]
    assert matching_files(tmp_path, "**") == ["a/b/x.png"]
    assert matching_files(tmp_path, "a/*/*.png") == ["a/b/x.png"]
    assert matching_files(tmp_path, "a/one/two/**") == ["a/one/two/b/x.png"]


def test_links_to_files_are_files_and_links_to_nothing_are_not(tmp_path: Path) -> None:
    (tmp_path / "x.png").touch()
    (tmp_path / "latest.png").symlink_to("x.png")
    (tmp_path / "lost.png").symlink_to("nowhere")
    assert matching_files(tmp_path, "*.png") == ["latest.png", "x.png"]


def test_a_missing_directory_has_no_files(tmp_path: Path) -> None:
    assert matching_files(tmp_path / "missing", "**") == []


def test_many_stars_take_no_time() -> None:
    assert not matches("a" * 200, "*a" * 40 + "b")
    assert not matches("/".join(["a"] * 200), "**/a/" * 40 + "b")


def test_links_in_a_circle_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").touch()
    for name in ("a", "b"):
        (tmp_path / name).symlink_to(".")
    (tmp_path / "itself.jpg").symlink_to("itself.jpg")
    assert matching_files(tmp_path, "**/*.jpg") == ["x.jpg"]
    assert matching_files(tmp_path, "a/*.jpg") == ["a/x.jpg"]


def test_directories_may_be_nested_more_deeply_than_python_recurses(tmp_path: Path) -> None:
    directory = tmp_path
    for _ in range(1200):
        directory /= "d"
        directory.mkdir()
    (directory / "f").touch()
    assert matching_files(tmp_path, "**/f") == ["d/" * 1200 + "f"]
    remove_directory(tmp_path / "d")  # pytest cannot


def test_what_is_nested_too_deeply_for_a_path_has_no_files(tmp_path: Path) -> None:
    longest_bytes = 4095
    deepest = (longest_bytes - len(str(tmp_path))) // 2  # its own path fits, that of a file in it does not
    directory = os.open(tmp_path, os.O_RDONLY)
    for _ in range(deepest):
        os.mkdir("d", dir_fd=directory)
        below = os.open("d", os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    os.mkdir("d", dir_fd=directory)
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=directory))
    os.close(directory)
    assert matching_files(tmp_path, "**") == []
    remove_directory(tmp_path / "d")
