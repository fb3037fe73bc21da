"""`python -m docs.generate` writes the generated pages of docs/. A test checks that they are up to date."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from winslow_dagster.cli.reference import cli_page
from winslow_dagster.settings import AccessSettings, NodeSettings, QueueSettings, Settings, SlurmSettings

DOCS = Path(__file__).parent
SETTINGS_HEAD = """\
# Settings

Environment variables that configure an installation. All have defaults or are optional. They are read once, when a
program starts. `make docs` generates this page.

| variable | meaning | default |
|---|---|---|
"""
DECISIONS_HEAD = """\
# Decisions

Design decisions: what was chosen where there was a real alternative, and what was measured. Each has a file
`NNNN-what-was-chosen.md` that begins with `# N. Title` and has these parts:

- **Context.** The question and its background.
- **Choice.** What was chosen, and what was not.
- **What was measured.** The figures, and how to reproduce them; or **Consequences.** if there is nothing to measure.

Numbers are not reused. A superseded decision stays, with a link to the one that replaces it. `make docs` generates this
page.

| | |
|---|---|
"""


def settings_page() -> str:
    """One row per WINSLOW_* variable."""
    home = Path("/home/of/this/installation")
    settings = Settings.read({"WINSLOW_HOME": str(home), "WINSLOW_PIPELINES_DIR": "/pipeline_configs"})
    defaults = {
        name: str(value).replace(str(home), "$WINSLOW_HOME")
        for part in (settings, settings.access, settings.queue, settings.slurm, settings.node)
        for name, value in part.model_dump().items()
        if value
    } | {"home": ".winslow", "pipelines_dir": "pipeline_configs"}
    rows = []
    parts = (Settings, AccessSettings, QueueSettings, SlurmSettings, NodeSettings)
    for name, field in (pair for part in parts for pair in part.model_fields.items()):
        if name in {"access", "queue", "slurm", "node"}:
            continue
        default = f"`{defaults[name]}`" if name in defaults else "none"
        rows.append(f"| `WINSLOW_{name.upper()}` | {field.description} | {default} |\n")
    return SETTINGS_HEAD + "".join(rows)


def decisions_page() -> str:
    """One row per decision."""
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
