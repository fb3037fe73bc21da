"""A base image with Java and a jar with a program, made from the local JDK. For tests marked `java`."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

PROGRAM = Path(__file__).parent / "java" / "ContractTracker.java"
UTF8 = Path("/usr/lib/locale/C.utf8")
NEEDED_BY = re.compile(r"(?:=> )?(/\S+) \(0x")


def tool(name: str) -> str:
    """A program of the same JDK as javac."""
    javac = shutil.which("javac")
    assert javac is not None, "mark the test `java`"
    return str(Path(javac).resolve().with_name(name))


def run(*words: str | Path) -> str:
    """Run a command; returns standard output and standard error."""
    ran = subprocess.run(words, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def contract_jar(directory: Path, *, main_class: bool = True) -> Path:
    """The program as a jar, with or without the main class in its manifest."""
    run(tool("javac"), "-d", directory / "classes", PROGRAM)
    jar = directory / "tracker.jar"
    mode = ["--main-class", "ContractTracker"] if main_class else []
    run(tool("jar"), "--create", "--file", jar, *mode, "-C", directory / "classes", ".")
    return jar


def java_base(test_image: str) -> str:
    """An image with Java's base module and its libraries, on the test image. Named by its content."""
    version = run(tool("java"), "-version")
    content = hashlib.sha256(f"{test_image} {version} {Path(__file__).read_text()}".encode()).hexdigest()[:12]
    image = f"winslow-test-java:{content}"
    with (Path(tempfile.gettempdir()) / f"winslow-test-java-{content}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # parallel test processes build it only once
        if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode != 0:
            with tempfile.TemporaryDirectory() as context:
                _write_context(Path(context), test_image)
                build = ["docker", "build", "--tag", image, context]
                environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
                subprocess.run(build, check=True, capture_output=True, env=environment)
    return image


def _write_context(context: Path, test_image: str) -> None:
    java = context / "root" / "opt" / "java"
    java.parent.mkdir(parents=True)
    options = ("--strip-debug", "--no-header-files", "--no-man-pages", "--vm", "server")
    run(tool("jlink"), "--add-modules", "java.base", *options, "--output", java)
    for library in _libraries(java):
        copy = context / "root" / library.relative_to("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, copy)
    # Without it, C.UTF-8 is unknown and Java writes question marks.
    shutil.copytree(UTF8, context / "root" / UTF8.relative_to("/"))
    (context / "Dockerfile").write_text(
        f"FROM {test_image}\nCOPY root /\nRUN busybox ln -s busybox /bin/chown\nENV PATH=/opt/java/bin:/bin\n"
    )


def _libraries(java: Path) -> set[Path]:
    """The system libraries that Java's programs and libraries are linked with, at their paths."""
    linked = [java / "bin" / "java", *java.glob("lib/**/*.so")]
    found = {Path(path) for each in linked for path in NEEDED_BY.findall(run("ldd", each))}
    return {path for path in found if not path.is_relative_to(java)}
