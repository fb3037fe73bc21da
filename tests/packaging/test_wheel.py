"""The wheel alone is the whole program."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = (
    "dagster.yaml",
    "workspace.yaml",
    "pipeline_configs/traffic_analysis.yaml",
    "pipeline_configs/pipeline.schema.json",
    "deploy/images/java/Dockerfile",
    "deploy/images/java/java_tracker.yaml",
    "deploy/slurm/epilog",
    "deploy/slurm/slurm.conf",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from this source tree, by the build back end that is locked, without the network."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel's files and nothing else."""
    directory = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(directory)
    return directory


def python(installed: Path, code: str, directory: Path) -> str:
    """What `code` prints, with our package from the wheel and only its dependencies from this environment."""
    without_source_tree = (
        "import sys\n"
        f"sys.path[:] = [{str(installed)!r}] + [p for p in sys.path if p not in ({str(ROOT)!r}, '')]\n"
        "sys.meta_path[:] = [finder for finder in sys.meta_path if 'editable' not in repr(finder)]\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WINSLOW_")}
    ran = subprocess.run(
        [sys.executable, "-c", without_source_tree + code],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_wheel_carries_every_default_and_template(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert [name for name in SHIPPED if f"winslow_dagster/default_files/{name}" not in names] == []
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "winslow_dagster").rglob("*") if path.is_file()}
    assert {name for name in ours if "__pycache__" not in name} - names == set()


def test_the_wheel_carries_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert tops == {"winslow_dagster", f"winslow_dagster-{wheel.name.split('-')[1]}.dist-info"}


def test_the_defaults_are_found_without_the_source_tree(installed: Path, tmp_path: Path) -> None:
    code = "from winslow_dagster.defaults import default_file\n" + "".join(
        f"print(default_file({name!r}))\n" for name in SHIPPED
    )
    found = python(installed, code, tmp_path).splitlines()
    assert found == [str(installed / "winslow_dagster" / "default_files" / name) for name in SHIPPED]


def test_the_pipelines_of_the_wheel_load_without_the_source_tree(installed: Path, tmp_path: Path) -> None:
    code = "from winslow_dagster.cli import main\nmain(['pipelines', 'list'])\n"
    assert "traffic_analysis" in python(installed, code, tmp_path)


def test_the_command_helps_without_the_source_tree(installed: Path, tmp_path: Path) -> None:
    code = "import sys\nfrom winslow_dagster.cli import main\nmain(['--help'])\n"
    helped = python(installed, code, tmp_path)
    assert "run" in helped
    assert "doctor" in helped


def test_a_default_that_is_missing_says_so(installed: Path, tmp_path: Path) -> None:
    code = (
        "from winslow_dagster.defaults import default_file\nfrom winslow_dagster.errors import NotFound\n"
        "try:\n    default_file('nothing.yaml')\nexcept NotFound as error:\n    print(error)\n"
    )
    where = installed / "winslow_dagster" / "default_files"
    said = python(installed, code, tmp_path)
    assert said == f"{where}: the shipped file nothing.yaml is missing. Install winslow-dagster again\n"
