"""Imports run one way, and each rule that says so bites."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "winslow_dagster"
# Each of these has a contract test of the private names it uses.
MAY_USE_PRIVATE_DAGSTER = {
    "console/dagit.py",
    "jobs/executor.py",
    "jobs/launcher.py",
    "jobs/run_queue_daemon.py",
    "jobs/run_tags.py",
    "jobs/sqlite_storage.py",
    "services/code_server.py",
}
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


AGAINST_THE_RULES = [
    ("pipelines/model/pipeline.py", "import winslow_dagster.storage.manifest", "Imports run one way"),
    ("storage/manifest.py", "from winslow_dagster.stages.task import model", "Imports run one way"),
    ("projects/__init__.py", "import winslow_dagster.jobs", "Imports run one way"),
    ("console/pictures.py", "import PIL", "Decoders run in processes of their own"),
    ("engines/engine.py", "import dagster", "Dagster stays in its rooms"),
    ("cli/__init__.py", "from dagster import job", "Dagster stays in its rooms"),
    ("console/guard.py", "import dagster", "Dagster stays in its rooms"),
    ("services/handle.py", "import winslow_dagster.console.server", "Imports run one way"),
    ("engines/engine.py", "import docker", "Docker is one file's business"),
    ("stages/task/model.py", "import sqlalchemy", "Stages know no Dagster, no database, no web"),
    ("pipelines/model/pipeline.py", "import subprocess", "Pipelines are pure"),
    ("pipelines/yaml/reader.py", "import winslow_dagster.pipelines.schema.base", "Pipelines are layered"),
]
"""An import in a file, and the rule that it breaks."""


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is found by each broken rule in a copy of the package with all imports against the rules."""
    directory = tmp_path_factory.mktemp("against_the_rules")
    shutil.copytree(PACKAGE, directory / "winslow_dagster", ignore=shutil.ignore_patterns("__pycache__"))
    for module, statement, _ in AGAINST_THE_RULES:
        with (directory / "winslow_dagster" / module).open("a") as source:
            source.write(f"\n{statement}\n")
    found = lint_imports(directory)
    assert found.returncode == 1, found.stdout + found.stderr
    _, *sections = re.split(r"^(.+)\n-+\n", found.stdout.partition("Broken contracts\n")[2], flags=re.MULTILINE)
    lines_joined = [" ".join(section.split()) for section in sections[1::2]]
    return dict(zip(sections[::2], lines_joined, strict=True))


@pytest.mark.parametrize(("module", "statement", "rule"), AGAINST_THE_RULES)
def test_an_import_against_the_rules_is_found(findings: dict[str, str], module: str, statement: str, rule: str) -> None:
    importer = f"winslow_dagster/{module}".removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert re.search(rf" {importer} -> {statement.split()[1]}(\.\w+)* \(l\.", findings[rule])


def test_the_rules_hold() -> None:
    found = lint_imports(ROOT)
    assert found.returncode == 0, found.stdout + found.stderr


COMMAND_LINE = re.compile(r"\bwinslow [a-z]")


def texts(source: str) -> Iterator[str]:
    """Every string of a module that is no docstring."""
    tree = ast.parse(source)
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.value


@pytest.mark.parametrize("room", ["projects", "stages", "engines"])
def test_advice_inside_is_an_action_that_each_door_words_in_its_own_way(room: str) -> None:
    found = [
        f"{path.relative_to(PACKAGE)}: {text}"
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for text in texts(path.read_text())
        if COMMAND_LINE.search(text)
    ]
    assert found == []


def test_a_command_in_a_text_is_found() -> None:
    assert [
        text for text in texts('"""winslow up"""\nx = f"{name}: winslow resume {name}"') if COMMAND_LINE.search(text)
    ]
