"""`python -m docs.generate` writes the pages of docs/ that come from the code. A test holds them to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from winslow_dagster.settings import Settings

DOCS = Path(__file__).parent
SETTINGS_HEAD = """\
# Settings

Read once from the environment when a program starts. Nothing has to be set. This page is written by `make docs`.

| variable | what it sets | default |
|---|---|---|
"""


def settings_page() -> str:
    """One row for each WINSLOW_* variable."""
    home = Path("/home/of/this/installation")
    settings = Settings.read({"WINSLOW_HOME": str(home), "WINSLOW_PIPELINES_DIR": "/pipeline_configs"})
    defaults = {
        name: str(value).replace(str(home), "$WINSLOW_HOME")
        for name, value in settings.model_dump().items()
        if value is not None
    } | {"home": ".winslow", "pipelines_dir": "pipeline_configs"}
    rows = []
    for name, field in Settings.model_fields.items():
        default = f"`{defaults[name]}`" if name in defaults else "none"
        rows.append(f"| `WINSLOW_{name.upper()}` | {field.description} | {default} |\n")
    return SETTINGS_HEAD + "".join(rows)


PAGES: dict[str, Callable[[], str]] = {"settings.md": settings_page}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())


if __name__ == "__main__":
    main()
