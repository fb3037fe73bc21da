"""Imports run one way, and each rule that says so bites."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "winslow_dagster"
# Each of these has a contract test of the private names it uses.
MAY_USE_PRIVATE_DAGSTER = {"console/dagit.py", "jobs/executor.py", "jobs/launcher.py", "jobs/sqlite_storage.py"}
PRIVATE_DAGSTER = (
    *("dagster._core", "dagster._grpc", "dagster._utils", "dagster._cli", "dagster._daemon"),
    "dagster_webserver",
)


def imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    program = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    command = [*program, "--config", str(ROOT / "pyproject.toml")]
    environment = os.environ | {"PYTHONPATH": str(directory)}
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


def test_private_names_of_dagster_stay_where_they_are_tested() -> None:
    users = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(name.startswith(PRIVATE_DAGSTER) for name in imported(path.read_text()))
    }
    assert users <= MAY_USE_PRIVATE_DAGSTER


@pytest.mark.parametrize(
    ("module", "statement", "contract"),
    [
        ("pipelines/model/pipeline.py", "import winslow_dagster.storage.manifest", "Imports run one way"),
        ("storage/manifest.py", "from winslow_dagster.stages.task import model", "Imports run one way"),
        ("projects/__init__.py", "import winslow_dagster.jobs", "Imports run one way"),
        ("engines/engine.py", "import dagster", "Dagster stays in its rooms"),
        ("cli/__init__.py", "from dagster import job", "Dagster stays in its rooms"),
        ("console/guard.py", "import dagster", "Dagster stays in its rooms"),
        ("services/handle.py", "import winslow_dagster.console.server", "Imports run one way"),
        ("engines/engine.py", "import docker", "Docker is one file's business"),
        ("stages/task/model.py", "import sqlalchemy", "Stages know no Dagster, no database, no web"),
        ("pipelines/model/pipeline.py", "import subprocess", "Pipelines are pure"),
        ("pipelines/yaml/reader.py", "import winslow_dagster.pipelines.schema.base", "Pipelines are layered"),
    ],
)
def test_an_import_against_the_rules_is_found(tmp_path: Path, module: str, statement: str, contract: str) -> None:
    shutil.copytree(PACKAGE, tmp_path / "winslow_dagster", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "winslow_dagster" / module).open("a") as source:
        source.write(f"\n{statement}\n")
    found = lint_imports(tmp_path)
    assert found.returncode == 1, found.stdout + found.stderr
    assert f"{contract} BROKEN" in found.stdout


def test_the_rules_hold() -> None:
    found = lint_imports(ROOT)
    assert found.returncode == 0, found.stdout + found.stderr
