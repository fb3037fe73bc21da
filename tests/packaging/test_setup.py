"""Setup needs Python and make, and reports what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.venv import uv_environment, uv_lock

ROOT = Path(__file__).parents[2]
MAKE = shutil.which("make") or "make"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The part of the source tree that setup uses."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "tracker_application").mkdir()
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy" / "venv.py", tmp_path / "deploy")
    for name in ("pyproject.toml", "requirements-dev.lock"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / "tracker_application" / name, tmp_path / "tracker_application")
    return tmp_path


def test_make_without_a_target_lists_the_targets(clone: Path) -> None:
    listed = subprocess.run([MAKE, "-C", str(clone)], capture_output=True, text=True, check=True).stdout
    for target in ("demo", "up", "test", "test-all", "check", "bench", "chaos", "docs", "images"):
        assert f"  make {target} " in listed


def test_the_quick_tests_are_all_but_the_slow_ones(clone: Path) -> None:
    def pytest_of(target: str) -> str:
        command = [MAKE, "--dry-run", "-C", str(clone), target]
        shown = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True)
        return next(line for line in shown.stdout.splitlines() if line.startswith("python -m pytest"))

    every_test = pytest_of("test-all")
    assert "-m 'not slow'" not in every_test
    assert pytest_of("test").split() == [*every_test.split(), "-m", "'not", "slow'"]
    assert pytest_of("check") == pytest_of("test")


def test_without_a_suitable_python_the_supported_versions_are_listed(clone: Path) -> None:
    nothing = clone / "nothing"
    nothing.mkdir()
    command = [MAKE, "--no-print-directory", "-C", str(clone), "setup"]
    ran = subprocess.run(command, env={"PATH": str(nothing)}, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr.startswith("Python 3.11, 3.12 or 3.13 is required, but none was found. On Debian and Ubuntu: ")


def test_a_python_without_ensurepip_names_the_package_to_install(clone: Path) -> None:
    as_without_ensurepip = (
        "import runpy, sys; sys.modules['ensurepip'] = None; runpy.run_path('deploy/venv.py', run_name='__main__')"
    )
    command = [sys.executable, "-c", as_without_ensurepip]
    ran = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "the modules venv and ensurepip are missing" in ran.stderr
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"apt-get install python{version}-venv" in ran.stderr
    assert not (clone / ".venv").exists()


def test_uv_is_itself_locked() -> None:
    first, *hashes = uv_lock().splitlines()
    assert first.startswith("uv==")
    assert hashes
    assert all(line.strip().startswith("--hash=sha256:") for line in hashes)


def test_uv_gets_the_settings_of_pip() -> None:
    config = "global.cert='/etc/ca.pem'\nglobal.index-url='a'\n:env:.index-url='b'\ninstall.extra-index-url='c d'\n"
    assert uv_environment({"HOME": "/root"}, config) == {
        "HOME": "/root",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "UV_DEFAULT_INDEX": "b",
        "UV_INDEX": "c d",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_settings_of_uv_take_precedence() -> None:
    settings = {"UV_DEFAULT_INDEX": "mine", "SSL_CERT_FILE": "/my/ca.pem"}
    assert uv_environment(settings, "global.index-url='a'\nglobal.cert='/etc/ca.pem'\n").items() >= settings.items()
