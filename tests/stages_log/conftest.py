"""What the tests of the log share."""

from __future__ import annotations

from pathlib import Path

import pytest

from winslow_dagster.pipelines.model.stage_rules import LogRules, ProgressRule

RULES = LogRules(
    progress=(
        ProgressRule(subject="frames", pattern=r"frame (?P<current>\d+)/(?P<total>\d+)"),
        ProgressRule(subject="export", pattern=r"export: *(?P<percent>\d+(?:\.\d+)?)\s*%"),
    ),
    warnings=(r"(?i)\bwarn(?:ing)?\b",),
    errors=(r"\b[Ee]rror\b", r"^Traceback"),
)


@pytest.fixture
def rules() -> LogRules:
    return RULES


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The directory of a log that does not exist yet."""
    return tmp_path / "log"
