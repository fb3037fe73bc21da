"""`python -m docs.generate` writes the pages of docs/ that come from the code. A test holds them to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from winslow_dagster.cli.reference import cli_page
from winslow_dagster.settings import Settings

DOCS = Path(__file__).parent
SETTINGS_HEAD = """\
# Settings

Read once from the environment when a program starts. Nothing has to be set. This page is written by `make docs`.

| variable | what it sets | default |
|---|---|---|
"""
DECISIONS_HEAD = """\
# Decisions

What was chosen where there was a real choice, and what was measured. One file each, `NNNN-what-was-chosen.md`, that
begins with `# N. Title` and has these parts:

- **Context.** The question, and what made it one.
- **Choice.** What was chosen, and what was not.
- **What was measured.** The figures, and how to get them again; or **Consequences.** where nothing can be measured.

Numbers are never used again. A decision that is overturned stays, and names the one that overturns it.
`make docs` writes this page.

| | |
|---|---|
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


def decisions_page() -> str:
    """One row for each decision, with its title."""
    rows = []
    for path in sorted((DOCS / "decisions").glob("[0-9]*.md")):
        title = path.read_text().splitlines()[0].partition(". ")[2]
        rows.append(f"| [{path.stem[:4]}]({path.name}) | {title} |\n")
    return DECISIONS_HEAD + "".join(rows)


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli_page,
    "settings.md": settings_page,
    "decisions/README.md": decisions_page,
}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())


if __name__ == "__main__":
    main()
