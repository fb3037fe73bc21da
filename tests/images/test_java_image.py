"""A Java program in an image does what it does without one, and what cannot be built says why."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from java_images import contract_jar, java_base, run, tool

from winslow_dagster.errors import ImageNotBuilt
from winslow_dagster.images.java_archive import JavaArchive
from winslow_dagster.images.java_image import BuiltImage, JavaImage
from winslow_dagster.stages.launchers.docker.containers import DockerDaemon

pytestmark = [pytest.mark.docker, pytest.mark.java]

Build = Callable[..., BuiltImage]


@pytest.fixture(scope="module")
def base(test_image: str) -> str:
    return java_base(test_image)


@pytest.fixture(scope="module")
def jar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Which nobody else may read."""
    path = contract_jar(tmp_path_factory.mktemp("jar"))
    path.chmod(0o600)
    return path


@pytest.fixture
def build(base: str) -> Iterator[Build]:
    """Build an image of a jar; it is removed at the end."""
    tag = f"winslow-test-java-image:{uuid.uuid4().hex[:8]}"

    def call(jar: Path, main_class: str = "", *, base_image: str = base, **more: tuple[object, ...]) -> BuiltImage:
        wanted = JavaImage(JavaArchive.read(jar), tag, main_class, base_image, **more)  # type: ignore[arg-type]
        return wanted.build(DockerDaemon.connect(), lambda _: None)

    yield call
    subprocess.run(["docker", "rmi", "--force", tag], capture_output=True, check=False)


def started(image: str, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = ["docker", "run", "--rm", "--network", "none", *options, image, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_arguments_variables_options_and_files_reach_the_program_as_they_are(
    build: Build, jar: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes").write_text("beside the jar")
    built = build(jar, added=(tmp_path / "notes",), java_options=('-Droad=a "b"\\c # d',))
    arguments = ["@x", "a b", "", "--help", "ü", "*", "$HOME"]
    ran = started(built.image, "echo", *arguments, options=("--env", "ROAD=A 8"))
    assert ran.returncode == 0
    said = ran.stdout.splitlines()
    assert said[:-1] == [
        *(f"argument {argument}" for argument in ["echo", *arguments]),
        "variable A 8",
        'property a "b"\\c # d',
        "directory /opt/tracker has notes: true",
    ]
    assert ran.stderr == "Straße\n", "and Java adds no line of its own"


def test_the_exit_code_is_the_programs(build: Build, jar: Path) -> None:
    image = build(jar).image
    assert [started(image, "fail", code).returncode for code in ("0", "1", "75", "254")] == [0, 1, 75, 254]


def test_the_heap_is_three_quarters_of_what_the_container_has(build: Build, jar: Path) -> None:
    ran = started(build(jar).image, "echo", options=("--memory", "512m"))
    (heap_mib,) = (int(line.split()[1]) for line in ran.stdout.splitlines() if line.startswith("heap_mib"))
    assert 0.7 * 512 < heap_mib <= 0.75 * 512


def test_the_program_is_process_1_without_root_and_term_ends_it(build: Build, jar: Path) -> None:
    container = run("docker", "run", "--detach", build(jar).image, "wait").strip()
    try:
        log = subprocess.Popen(["docker", "logs", "--follow", container], stdout=subprocess.PIPE, text=True)
        assert log.stdout is not None
        assert log.stdout.readline() == "waiting\n"
        assert run("docker", "inspect", "--format", "{{.Config.User}} {{.Path}}", container) == "65534:65534 java\n"
        run("docker", "kill", "--signal", "TERM", container)
        assert run("docker", "wait", container) == f"{128 + 15}\n"
        assert log.stdout.read() == "closed the files\n"
        log.stdout.close()
        log.wait()
    finally:
        run("docker", "rm", "--force", container)


def test_a_named_main_class_is_found_in_a_jar_that_was_added(build: Build, tmp_path: Path) -> None:
    library = contract_jar(tmp_path / "lib", main_class=False)
    (tmp_path / "Empty.java").write_text("class Empty {}")
    run(tool("javac"), "-d", tmp_path / "own", tmp_path / "Empty.java")
    run(tool("jar"), "--create", "--file", tmp_path / "own.jar", "-C", tmp_path / "own", ".")
    built = build(tmp_path / "own.jar", "ContractTracker", added=(library.parent,))
    assert started(built.image, "fail", "7").returncode == 7
    with pytest.raises(ImageNotBuilt, match=r"ClassNotFoundException: ContractTracker\n\. Add the libraries"):
        build(tmp_path / "own.jar", "ContractTracker")


def test_what_is_here_already_is_built_again_without_a_change(build: Build, jar: Path) -> None:
    assert build(jar).digest == build(jar).digest


def test_a_base_image_that_cannot_be_had_says_how_to_get_one(build: Build, jar: Path) -> None:
    nowhere = "127.0.0.1:1/no/java:17"
    with pytest.raises(ImageNotBuilt, match=f"the base image {nowhere} is not on this machine and cannot be pulled: "):
        build(jar, base_image=nowhere)


def test_a_base_image_without_java_shows_the_last_lines_of_the_build(build: Build, jar: Path, test_image: str) -> None:
    with pytest.raises(ImageNotBuilt, match=r'(?s)"java": executable file not found.*last lines of the build:.*Step 8'):
        build(jar, base_image=test_image)


def test_an_option_that_java_does_not_know_is_found_before_a_stage_runs(build: Build, jar: Path) -> None:
    with pytest.raises(ImageNotBuilt, match="Unrecognized option: -Xlots"):
        build(jar, java_options=("-Xlots",))


def test_a_jar_for_a_newer_java_names_the_remedy(build: Build, tmp_path: Path) -> None:
    newer = contract_jar(tmp_path)
    program = tmp_path / "classes" / "ContractTracker.class"
    content = bytearray(program.read_bytes())
    content[6:8] = (99).to_bytes(2, "big")  # the version of the class file
    program.write_bytes(content)
    run(tool("jar"), "--update", "--file", newer, "-C", tmp_path / "classes", ".")
    with pytest.raises(ImageNotBuilt, match=r"(?s)UnsupportedClassVersionError.*Choose a base image that has the Java"):
        build(newer)
