"""Creates .venv with the locked packages, this project and tracker_application, using only the standard library.

A digest of the lock files and package descriptions is stored, so that a second run returns at once. uv (itself locked)
installs in seconds; pip is the slower fallback.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed"
PACKAGES = (ROOT, ROOT / "tracker_application")
LOCKS = (ROOT / "requirements-dev.lock", ROOT / "tracker_application" / "requirements.lock")
# Their build backend is locked and installed first.
PACKAGE_OPTIONS = ("--no-deps", "--no-build-isolation", *(word for path in PACKAGES for word in ("-e", str(path))))
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
EXIT_USAGE = 2


def say(text: str) -> None:
    """Print a progress line."""
    print(f"setup: {text}", file=sys.stderr, flush=True)  # noqa: T201  output of a script


def key() -> str:
    """A digest of everything that determines what is installed, and where."""
    digest = hashlib.sha256(f"{ROOT} {sys.version}".encode())
    for path in (Path(__file__), *LOCKS, *(package / "pyproject.toml" for package in PACKAGES)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_usable() -> bool:
    """Whether .venv has this Python version and pip, and has not been moved: its programs contain its path."""
    pip_program = VENV / "bin" / "pip"
    packages = VENV / "lib" / f"python{VERSION}" / "site-packages"
    return packages.is_dir() and pip_program.is_file() and f"{VENV}/bin/" in pip_program.read_text()


def make_venv() -> None:
    """Create a fresh .venv with pip. Exits with instructions if Python lacks the required modules."""
    if find_spec("ensurepip") is None or find_spec("venv") is None:
        say(f"{sys.executable} cannot make virtual environments: the modules venv and ensurepip are missing.")
        say(f"On Debian and Ubuntu: apt-get install python{VERSION}-venv")
        raise SystemExit(EXIT_USAGE)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)


def pip(*arguments: str) -> None:
    """Run the environment's pip. Raises CalledProcessError."""
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def uv_lock() -> str:
    """The lines of the lock that pin uv: one requirement and its hashes."""
    lines = LOCKS[0].read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("uv=="))
    end = next(number for number in range(start, len(lines)) if not lines[number].endswith("\\"))
    return "\n".join(lines[start : end + 1]) + "\n"


def uv_environment(environ: Mapping[str, str], pip_config: str) -> dict[str, str]:
    """`environ` with pip's settings for indexes and certificates translated for uv.

    `pip_config` is the output of `pip config list`: lines such as `global.index-url='…'`, or `:env:.index-url` for
    environment variables. Variables that are already set for uv do not change.
    """
    pip_settings: dict[str, str] = {}
    for scope in ("global.", "install.", ":env:."):
        for line in pip_config.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(scope):
                pip_settings[name.removeprefix(scope)] = value.strip("'\"")
    uv_settings = {
        "UV_DEFAULT_INDEX": pip_settings.get("index-url"),
        "UV_INDEX": pip_settings.get("extra-index-url"),
        "SSL_CERT_FILE": pip_settings.get("cert"),
        # Like pip: the pinned version may be on any index. The hashes ensure that it is the right one.
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    return {name: value for name, value in uv_settings.items() if value} | dict(environ)


def install_with_uv() -> None:
    """Takes seconds (parallel downloads, shared cache). Raises CalledProcessError."""
    lock = VENV / "uv.lock"
    lock.write_text(uv_lock())
    pip("install", "--no-deps", "--require-hashes", "-r", str(lock))
    config = subprocess.run([str(PYTHON), "-m", "pip", "config", "list"], check=True, capture_output=True, text=True)
    environment = uv_environment(os.environ, config.stdout)
    uv = [str(VENV / "bin" / "uv"), "pip"]
    options = ["--quiet", "--python", str(PYTHON)]
    subprocess.run([*uv, "sync", *options, "--require-hashes", *map(str, LOCKS)], check=True, env=environment)
    subprocess.run([*uv, "install", *options, *PACKAGE_OPTIONS], check=True, env=environment)


def install_with_pip() -> None:
    """Takes about a minute. Raises CalledProcessError."""
    pip("install", "--no-deps", "--require-hashes", *(word for path in LOCKS for word in ("-r", str(path))))
    pip("install", *PACKAGE_OPTIONS)


def main() -> None:
    """Create the environment, unless it is up to date."""
    wanted = key()
    if STAMP.is_file() and STAMP.read_text() == wanted and PYTHON.exists():
        return
    say("installing the locked packages into .venv")
    if not is_usable():
        make_venv()
    try:
        install_with_uv()
    except subprocess.CalledProcessError as failure:
        say(f"uv failed ({failure}); trying pip, which is slower")
        try:
            install_with_pip()
        except subprocess.CalledProcessError as second_failure:
            say(f"pip failed, too: {second_failure}")
            raise SystemExit(1) from None
    STAMP.write_text(wanted)


if __name__ == "__main__":
    main()
