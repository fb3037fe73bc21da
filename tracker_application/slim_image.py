"""Makes the image small: run by the Dockerfile, in its build stage, after the packages are installed.

    python3 slim_image.py packages /opt/tracker                   remove what the program never loads
    python3 slim_image.py compiled /opt/tracker /opt/compiled     compile the modules that the program imports
    python3 slim_image.py system /opt/tracker /opt/system         copy Python, a shell and their libraries

Compiling imports every module of the program, so that the build fails if something that it needs was removed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

UNUSED = (
    # Installers, and what packages need only to be built or tested.
    "pip", "pip-*", "setuptools*", "pkg_resources", "_distutils_hack", "distutils-precedence.pth",
    "**/tests", "**/test", "**/include", "**/*.pyi", "**/*.pxd", "**/*.pyx", "**/*.[ch]", "**/*.hpp", "**/*.a",
    "numpy/distutils", "numpy/f2py", "numpy/_core/_simd.*.so", "numpy/_core/*_tests.*.so",
    # Fonts in PDF and PostScript, formats that no chart has.
    "fontTools/[!_am]*", "matplotlib/mpl-data/fonts/afm", "matplotlib/mpl-data/fonts/pdfcorefonts",
    "matplotlib/mpl-data/images", "matplotlib/mpl-data/sample_data", "matplotlib/sphinxext", "matplotlib/testing",
    # Image formats and text of Pillow, which only writes the PNG files of charts.
    "PIL/_avif.*.so", "PIL/_webp.*.so", "PIL/_imagingft.*.so", "PIL/_imagingcms.*.so", "PIL/_imagingtk.*.so",
    # Converting and training networks, and a second copy of the runtime for programs in C.
    "onnxruntime/transformers", "onnxruntime/quantization", "onnxruntime/tools", "onnxruntime/datasets",
    "onnxruntime/capi/libonnxruntime.so*", "google", "protobuf-*",
)  # fmt: skip
UNUSED_STDLIB = (
    "ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tkinter", "turtledemo", "site-packages", "dist-packages",
    "config-*", "lib-dynload/_dbm.*", "lib-dynload/_gdbm.*", "lib-dynload/nis.*", "**/__pycache__",
)  # fmt: skip
# The parts of FFmpeg, which OpenCV and PyAV both bring along.
FFMPEG = ("avcodec", "avformat", "avutil", "swresample", "swscale")
# For people who look into a container.
TOOLS = (
    "cat", "cp", "df", "du", "env", "find", "grep", "head", "id", "ldconfig", "ls", "mkdir", "mv", "ps", "rm", "sh",
    "sleep", "sort", "stat", "tail", "test",
)  # fmt: skip
SYSTEM_FILES = (
    "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
    "/etc/os-release", "/usr/lib/os-release", "/etc/ssl/certs/ca-certificates.crt", "/usr/lib/locale/C.utf8",
)  # fmt: skip
# Flags of a compiled module that holds a hash of its source, which is not compared.
UNCHECKED = 1
IMPORT_ALL = """
import pkgutil, importlib, multiprocessing.pool, multiprocessing.popen_spawn_posix, multiprocessing.resource_tracker
import matplotlib.backends.backend_agg, matplotlib.backends.backend_svg, PIL.PngImagePlugin, tracker
for module in pkgutil.walk_packages(tracker.__path__, "tracker."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def slim_packages(environment: Path) -> None:
    """Remove what the program never loads from a virtual environment, and debugging symbols."""
    packages = next(environment.glob("lib/python3*/site-packages"))
    remove(packages, UNUSED)
    share_ffmpeg(packages)
    drop_unneeded(packages)
    # Extension modules only: stripping damages some of the libraries that were edited for the wheel.
    modules = [path for path in packages.rglob("*.so") if not path.parent.name.endswith(".libs")]
    subprocess.run(["strip", "--strip-unneeded", *modules], check=True)
    remove(packages, ["**/__pycache__"])


def remove(root: Path, patterns: Iterable[str]) -> None:
    """Delete matching files and directories."""
    for pattern in patterns:
        for path in list(root.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def share_ffmpeg(packages: Path) -> None:
    """Let OpenCV use PyAV's FFmpeg, if the versions of its libraries agree: the second copy takes 40 MB."""
    theirs = list(packages.glob("av.libs/*"))
    for own in packages.glob("opencv_python_headless.libs/lib*.so.*"):
        name = own.name.split("-")[0]
        alike = [path for path in theirs if path.name.startswith(f"{name}-") and major(path.name) == major(own.name)]
        if name.removeprefix("lib") in FFMPEG and alike:
            print(f"OpenCV uses PyAV's {alike[0].name} instead of {own.name}")
            own.unlink()
            link(alike[0], own)
            # These need others of PyAV, and look for them beside the link.
            for path in theirs:
                if not (beside := own.with_name(path.name)).exists():
                    link(path, beside)


def link(target: Path, path: Path) -> None:
    """Make a relative link."""
    path.symlink_to(os.path.relpath(target, path.parent))


def major(name: str) -> str:
    """The first number of a library's version, which changes when programs must be rebuilt."""
    return name.rsplit(".so.", maxsplit=1)[-1].split(".", maxsplit=1)[0]


def drop_unneeded(packages: Path) -> None:
    """Delete the libraries that came with packages if nothing that is left needs them."""
    libraries = [path for folder in packages.glob("*.libs") for path in folder.iterdir()]
    by_name = {path.name: path for path in libraries}
    reached: set[str] = set()
    waiting = [path for path in packages.rglob("*.so*") if path not in libraries]
    while waiting:
        for name in by_name.keys() & set(needed(waiting.pop())) - reached:
            # A link has another name than the library that it stands for.
            reached |= {name, by_name[name].resolve().name}
            waiting.append(by_name[name])
    for path in libraries:
        if path.name not in reached:
            path.unlink()


def needed(library: Path) -> list[str]:
    """The names of the libraries that a library needs."""
    listed = subprocess.run(["readelf", "--dynamic", library], capture_output=True, text=True, check=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.+)\]", listed)


def compile_used(environment: Path, compiled: Path) -> None:
    """Compile the modules that the program imports, of Python's own library, too, into a directory of their own."""
    python = environment / "bin" / "python"
    variables = {
        **os.environ,
        "PYTHONPYCACHEPREFIX": str(compiled),
        "PYTHONDONTWRITEBYTECODE": "",
        "MPLCONFIGDIR": str(environment.with_name("matplotlib")),
    }
    subprocess.run([python, "-c", IMPORT_ALL], check=True, env=variables)
    for path in compiled.rglob("*.pyc"):
        content = path.read_bytes()
        # Valid whatever the time of the source is (PEP 552), which Docker's cache of layers does not keep.
        path.write_bytes(content[:4] + UNCHECKED.to_bytes(4, "little") + bytes(8) + content[16:])


def copy_system(environment: Path, root: Path) -> None:
    """Copy what runs the program from the base image, with the libraries that any of it needs."""
    for link in (path for path in Path("/").iterdir() if path.is_symlink()):
        copy(link, root)  # /bin, /lib and others point into /usr
    library = Path(sysconfig.get_path("stdlib"))
    copy(library, root)
    remove(placed(library, root), UNUSED_STDLIB)
    python = Path(sys.executable)
    programs = [Path(found) for name in TOOLS if (found := shutil.which(name))]
    programs += [python, *chain_of_links(environment / "bin" / "python")]
    for path in (*programs, *map(Path, SYSTEM_FILES)):
        if path.exists() and not path.is_relative_to(environment):
            copy(path, root)
    modules = [*placed(library, root).rglob("*.so"), *environment.rglob("*.so*")]
    for path in libraries_of([*(path for path in programs if path.exists()), *modules]):
        if not path.is_relative_to(environment):
            copy(path, root)
    for folder in ("/tmp", "/var/tmp"):  # noqa: S108  the image's own
        placed(Path(folder), root).mkdir(parents=True, exist_ok=True)
        placed(Path(folder), root).chmod(0o1777)


def libraries_of(programs: list[Path]) -> set[Path]:
    """The paths of all shared libraries that programs and modules are linked to."""
    listed = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    return {Path(path) for path in re.findall(r"(?:=>\s+|^\s+)(/\S+)\s+\(0x", listed, re.MULTILINE)}


def chain_of_links(path: Path) -> Iterator[Path]:
    """A path and those that it points to in turn."""
    yield path
    while path.is_symlink():
        path = path.parent / path.readlink()
        yield path


def placed(path: Path, root: Path) -> Path:
    """Where a path of this system is in the image."""
    return root / Path(path.parent.resolve(), path.name).relative_to("/")


def copy(path: Path, root: Path) -> None:
    """Copy a file or directory to its place in the image; of a link, its target, too. Times are kept."""
    target = placed(path, root)
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        if not target.is_symlink():
            target.symlink_to(path.readlink())
        if path.resolve().is_file():
            copy(path.resolve(), root)
    elif path.is_dir():
        shutil.copytree(path, target, symlinks=True, dirs_exist_ok=True)
    elif not target.exists():
        shutil.copy2(path, target)


if __name__ == "__main__":
    step, *paths = sys.argv[1:]
    {"packages": slim_packages, "compiled": compile_used, "system": copy_system}[step](*map(Path, paths))
