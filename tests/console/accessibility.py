"""What axe-core finds on a page. The browser must run scripts that the page does not allow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

AXE = (Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js").read_text()
STANDARD = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def serious(page: Page) -> list[str]:
    """What axe-core finds that keeps somebody from using the page."""
    if not page.evaluate("'axe' in window"):  # every document needs it once
        page.evaluate(AXE)
    options = {"runOnly": {"type": "tag", "values": STANDARD}, "resultTypes": ["violations"]}
    # What passed is most of an answer, and would be sent here only to be dropped.
    violations: Any = page.evaluate("options => axe.run(document, options).then(found => found.violations)", options)
    return [
        f"{each['id']} ({each['impact']}): {node['target']}: {node['html'][:160]}: {node['failureSummary']}"
        for each in violations
        if each["impact"] in {"serious", "critical", "moderate"}
        for node in each["nodes"]
    ]
