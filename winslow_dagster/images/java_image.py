"""Builds a stage image from a Java program, with deploy/images/java/Dockerfile.

The Docker daemon that runs the stages builds it, so that they find the image. The `docker` command is not used: it may
be missing, or configured for another daemon.
"""

from __future__ import annotations

import io
import re
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from winslow_dagster.actions import Action
from winslow_dagster.defaults import default_file
from winslow_dagster.errors import ImageNotBuilt, NotFound
from winslow_dagster.images.java_archive import JavaArchive
from winslow_dagster.stages.launchers.docker.containers import DockerDaemon
from winslow_dagster.stages.launchers.docker.images import build, pull

DOCKERFILE = "deploy/images/java/Dockerfile"
PROGRAM_DIRECTORY = PurePosixPath("/opt/tracker")
LAST_LINES = 12
BUILDER_NOISE = re.compile(r"^ ---> .*|^Removing intermediate container .*|\x1b\[[0-9;]*m")
"""The builder's internal messages, and its colours."""
OPTIONS = (
    # Java's default is a quarter of the container's memory; below 250 MiB it is half, whatever this option says.
    "-XX:MaxRAMPercentage=75",
    # Otherwise a program may wait forever for a thread that ran out of memory.
    "-XX:+ExitOnOutOfMemoryError",
    # The home directory of a user without a name would be `?`.
    "-Duser.home=/tmp",
)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
TAG = re.compile(
    rf"(?:[a-zA-Z0-9.-]+(?::[0-9]+)?/)?{_COMPONENT}(?:/{_COMPONENT})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?"
)
"""The name of an image in Docker's reference grammar, without a digest."""


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image built on this machine. `missing` has the entries of the jar's Class-Path that were not added."""

    image: str
    digest: str
    size_bytes: int
    base_image: str
    main_class: str
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JavaImage:
    """The parts of an image. `added` are files and directories that are copied beside the jar, under their own names.

    With a `main_class`, the class path is the jar and all added jars; without, the jar's manifest decides.
    `java_options` follow OPTIONS and so override them.
    """

    archive: JavaArchive
    tag: str
    main_class: str = ""
    base_image: str = ""
    added: tuple[Path, ...] = ()
    java_options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not TAG.fullmatch(self.tag):
            raise ImageNotBuilt(f'"{self.tag}" is not a valid image name', expected="a name such as my/tracker:1.0")
        if not (self.main_class or self.archive.main_class):
            raise ImageNotBuilt(
                "the manifest has no Main-Class",
                where=str(self.archive.path),
                remedy=Action("choose_main_class"),
            )
        names = [self.archive.path.name]
        for path in self.added:
            if not path.exists():
                raise NotFound("the file or directory to add does not exist", where=str(path))
            if path.resolve().name in names:
                raise ImageNotBuilt(f"the name {path.resolve().name} is used twice", where=str(path))
            names.append(path.resolve().name)

    def build(self, daemon: DockerDaemon, announce: Callable[[str], None]) -> BuiltImage:
        """Build the image. `announce` gets the progress. Raises ImageNotBuilt, ServiceUnavailable."""
        dockerfile = default_file(DOCKERFILE).read_bytes()
        base_image = self.base_image or public_base(dockerfile)
        if daemon.image_size_bytes(base_image) is None:
            self._pull(base_image, daemon, announce)
        lines = []
        try:
            with tempfile.TemporaryFile() as context:
                self._pack(context, dockerfile)
                context.seek(0)
                for line in build(daemon, context, self.tag, {"BASE_IMAGE": base_image}):
                    lines.append(line)
                    if line.startswith("Step "):
                        announce(line)
        except ImageNotBuilt as error:
            raise _failed(self.tag, error.what, lines) from error
        return BuiltImage(
            image=self.tag,
            digest=daemon.image_digest(self.tag),
            size_bytes=daemon.image_size_bytes(self.tag) or 0,
            base_image=base_image,
            main_class=self.main_class or self.archive.main_class,
            missing=self.missing(),
        )

    def missing(self) -> tuple[str, ...]:
        """Entries of the jar's Class-Path that were not added. Java ignores them until a class is not found."""
        added = {path.resolve().name: path for path in self.added}
        missing = []
        for entry in self.archive.class_path:
            first, *rest = PurePosixPath(entry).parts or (".",)
            if first not in added or not added[first].joinpath(*rest).exists():
                missing.append(entry)
        return tuple(missing)

    def java_arguments(self) -> tuple[str, ...]:
        """The arguments of java before those of the stage."""
        jar = str(PROGRAM_DIRECTORY / self.archive.path.name)
        if not self.main_class:
            return (*OPTIONS, *self.java_options, "-jar", jar)
        paths = [(PROGRAM_DIRECTORY / path.resolve().name, path.is_dir()) for path in self.added]
        added = [f"{path}/*" if is_directory else str(path) for path, is_directory in paths]
        return (*OPTIONS, *self.java_options, "-cp", ":".join([jar, *added]), self.main_class)

    def _pull(self, image: str, daemon: DockerDaemon, announce: Callable[[str], None]) -> None:
        try:
            pull(daemon, image, announce)
        except ImageNotBuilt as error:
            raise ImageNotBuilt(
                f"the base image {image} is not on this machine and cannot be pulled: {error.what}",
                remedy=Action("choose_base_image"),
            ) from error

    def _pack(self, context: IO[bytes], dockerfile: bytes) -> None:
        arguments = "".join(f"{quoted(argument)}\n" for argument in self.java_arguments())
        with tarfile.open(fileobj=context, mode="w") as tree:
            for name, content in (("Dockerfile", dockerfile), ("java.args", arguments.encode())):
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), 0o644
                tree.addfile(entry, io.BytesIO(content))
            tree.add(self.archive.path.resolve(), f"app/{self.archive.path.name}", filter=readable)
            for path in self.added:
                tree.add(path.resolve(), f"app/{path.resolve().name}", filter=readable)


def public_base(dockerfile: bytes) -> str:
    """The Dockerfile's default base image, which is public."""
    found = re.search(r"^ARG BASE_IMAGE=(\S+)$", dockerfile.decode(), re.MULTILINE)
    assert found is not None, "the Dockerfile that ships has a default"  # noqa: S101  # ours
    return found[1]


def quoted(argument: str) -> str:
    r"""An argument, quoted for an @file of java.

    >>> print(quoted('-Dname=a "b" c'))
    "-Dname=a \"b\" c"
    """
    escapes = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\f": r"\f"}
    return '"' + "".join(escapes.get(character, character) for character in argument) + '"'


def readable(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The entry owned by root and readable by all users: the image may run as any user."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = (entry.mode & 0o755) | (0o555 if entry.isdir() or entry.mode & 0o100 else 0o444)
    return entry


def _failed(tag: str, what: str, lines: list[str]) -> ImageNotBuilt:
    output = [text for line in lines if (text := BUILDER_NOISE.sub("", line).rstrip())]
    last = "".join(f"\n    {line}" for line in output[-LAST_LINES:])
    text = "\n".join(output)
    remedy: str | Action = ""
    if "UnsupportedClassVersionError" in text:
        remedy = Action("choose_base_image")
    elif "ClassNotFoundException" in text or "NoClassDefFoundError" in text:
        remedy = Action("add_libraries")
    return ImageNotBuilt(f"{what}; last lines of the build:{last}\n", where=tag, remedy=remedy)
