"""The files that ship with the program: pipelines, their schema, dagster.yaml, workspace.yaml."""

from __future__ import annotations

from pathlib import Path

from winslow_dagster.errors import NotFound

PACKAGE_DIR = Path(__file__).resolve().parent
SHIPPED_DIR = PACKAGE_DIR / "default_files"


def default_file(name: str) -> Path:
    """The shipped file or directory `name`, such as `dagster.yaml` or `pipeline_configs`.

    In a source tree these stand at the top level, where people look for them; a wheel carries them inside the package.
    Raises NotFound.
    """
    source_tree = PACKAGE_DIR.parent
    is_source_tree = (source_tree / "pyproject.toml").is_file()
    path = (source_tree if is_source_tree else SHIPPED_DIR) / name
    if not path.exists():
        raise NotFound(
            f"the shipped file {name} is missing", where=str(path.parent), remedy="Install winslow-dagster again"
        )
    return path
