"""What a jar says of itself, and what is said of a file that is none."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.errors import ImageNotBuilt, NotFound
from winslow_dagster.images.java_archive import MANIFEST, JavaArchive, main_attributes
from winslow_dagster.images.java_image import TAG, JavaImage

LONGEST_LINE_BYTES = 72


def folded(line: str, newline: bytes) -> bytes:
    """A line as the jar tool writes it: 72 bytes, also within a character, and the rest behind a blank."""
    rest, pieces = line.encode(), []
    while rest:
        length = LONGEST_LINE_BYTES - (1 if pieces else 0)
        pieces.append(rest[:length])
        rest = rest[length:]
    return (newline + b" ").join(pieces) + newline


def jar(path: Path, manifest: str | None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Tracker.class", b"")
        if manifest is not None:
            archive.writestr(MANIFEST, manifest)
    return path


@given(
    values=st.dictionaries(
        st.from_regex(r"[A-Za-z][A-Za-z-]{0,30}", fullmatch=True).map(str.lower),
        st.text(st.characters(blacklist_categories=("C", "Z")), min_size=1, max_size=300),
        max_size=5,
    ),
    newline=st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
def test_whatever_is_written_into_a_manifest_is_read_again(values: dict[str, str], newline: bytes) -> None:
    lines = [folded(f"{name.title()}: {value}", newline) for name, value in values.items()]
    behind = newline + folded("Name: Other.class", newline)
    assert main_attributes(b"".join(lines) + behind) == values


@given(st.binary(max_size=300))
def test_any_bytes_are_a_manifest_with_few_attributes(content: bytes) -> None:
    assert all(name == name.lower() for name in main_attributes(content))


def test_a_jar_names_its_main_class_and_the_jars_beside_it(tmp_path: Path) -> None:
    text = "Manifest-Version: 1.0\r\nClass-Path: lib/a.jar lib/b.jar\r\nMain-Class: org.example.Tracker\r\n\r\n"
    archive = JavaArchive.read(jar(tmp_path / "t.jar", text))
    assert (archive.main_class, archive.class_path) == ("org.example.Tracker", ("lib/a.jar", "lib/b.jar"))


def test_a_file_that_is_no_jar_says_so(tmp_path: Path) -> None:
    (tmp_path / "text.jar").write_text("no ZIP file")
    with pytest.raises(ImageNotBuilt, match=r"text\.jar: cannot be read as a jar: File is not a zip file; expected a"):
        JavaArchive.read(tmp_path / "text.jar")
    with pytest.raises(ImageNotBuilt, match=r"bare\.jar: the file has no META-INF/MANIFEST\.MF"):
        JavaArchive.read(jar(tmp_path / "bare.jar", None))
    with pytest.raises(NotFound, match=r"gone\.jar: the file does not exist"):
        JavaArchive.read(tmp_path / "gone.jar")


def test_a_jar_without_a_main_class_needs_one_named(tmp_path: Path) -> None:
    archive = JavaArchive.read(jar(tmp_path / "t.jar", "Manifest-Version: 1.0\n"))
    with pytest.raises(ImageNotBuilt, match=r"no Main-Class\. Choose the main class"):
        JavaImage(archive, "my/tracker:1.0")
    assert JavaImage(archive, "my/tracker:1.0", "org.Tracker").java_arguments()[-3:] == (
        "-cp",
        "/opt/tracker/t.jar",
        "org.Tracker",
    )


def test_jars_that_nobody_added_are_named(tmp_path: Path) -> None:
    archive = JavaArchive.read(jar(tmp_path / "t.jar", "Main-Class: T\nClass-Path: lib/a.jar lib/b.jar ./c.jar\n"))
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "a.jar").touch()
    (tmp_path / "c.jar").touch()
    assert JavaImage(archive, "t").missing() == ("lib/a.jar", "lib/b.jar", "./c.jar")
    added = (tmp_path / "lib", tmp_path / "c.jar")
    assert JavaImage(archive, "t", added=added).missing() == ("lib/b.jar",)
    assert JavaImage(archive, "t", "T", added=added).java_arguments()[-2] == (
        "/opt/tracker/t.jar:/opt/tracker/lib/*:/opt/tracker/c.jar"
    )


def test_two_things_of_one_name_cannot_lie_beside_each_other(tmp_path: Path) -> None:
    archive = JavaArchive.read(jar(tmp_path / "t.jar", "Main-Class: T\n"))
    (tmp_path / "other" / "t.jar").mkdir(parents=True)
    with pytest.raises(ImageNotBuilt, match=r"the name t\.jar is used twice"):
        JavaImage(archive, "t", added=(tmp_path / "other" / "t.jar",))
    with pytest.raises(NotFound, match="the file or directory to add does not exist"):
        JavaImage(archive, "t", added=(tmp_path / "lib",))


@pytest.mark.parametrize(
    "tag", ["t", "my/tracker", "my/tracker:1.0", "localhost:5000/a/b_c__d:X-1", "r.example.org/t-e.r"]
)
def test_a_name_that_docker_takes_is_taken(tag: str) -> None:
    assert TAG.fullmatch(tag)


@pytest.mark.parametrize("tag", ["", "My/Tracker:1.0", "tracker:", "a//b", "a b", "-a", "t:1.0:2", "t:-1", "a/b/"])
def test_a_name_that_docker_refuses_is_refused(tag: str, tmp_path: Path) -> None:
    archive = JavaArchive.read(jar(tmp_path / "t.jar", "Main-Class: T\n"))
    with pytest.raises(ImageNotBuilt, match=r"is not a valid image name; expected a name such as my/tracker:1\.0"):
        JavaImage(archive, tag)
