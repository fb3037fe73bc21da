"""Many projects in progress at once, each in the state it should be in. `make chaos` tries two hundred."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from installation import Installation, until

from winslow_dagster import Winslow

pytestmark = pytest.mark.slow

PROJECTS = int(os.environ.get("WINSLOW_MANY_PROJECTS", "60"))
MANY = """
name: many
command: [sh, -c]
defaults: {cpus: 0.1}
stages:
  - name: ask
    args: ['true']
    needs_input: {when: once, message: "Which way?", form: [{kind: choice, name: way, options: [left, right, wait]}]}
  - name: act
    args: ['[ "$ACT" = fail ] && exit 3; until [ "$ACT" != wait ] || [ -e "$GATE" ]; do sleep 0.5; done']
    env: {GATE: "${GATE:?}", ACT: go}
  - name: end
    args: ['true']
"""


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path, None, {"many": MANY})
    made.up()
    yield made
    made.down()


@pytest.mark.timeout(900 + 20 * PROJECTS)
def test_many_projects_are_in_progress_at_once(there: Installation, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with Winslow(there.settings) as winslow:

        def states() -> dict[str, str]:
            return {summary.project: summary.state for summary in winslow.projects()}

        for number in range(PROJECTS):
            winslow.run("many", f"p{number:03}", env={"GATE": str(gate)}, tags=["many"])
        until(lambda: set(states().values()) == {"awaiting_input"}, "all wait for a person", 500)
        assert len(states()) == PROJECTS
        until(lambda: not there.run_worker() and not there.stage_runner(), "who waits holds no process")

        fates = {f"p{number:03}": ("wait", "fail", "pause", "leave", "leave")[number % 5] for number in range(50)}
        for project, fate in fates.items():
            if fate != "leave":
                act = {"wait": "wait", "fail": "fail", "pause": "go"}[fate]
                stop = "act" if fate == "pause" else None
                winslow.project(project).answer("ask", {"way": "left"}, resume=False)
                winslow.run("many", project, settings={"act": {"env": {"ACT": act}}}, stop_after=stop)
        expected = Counter({"awaiting_input": PROJECTS - 30, "running": 10, "failed": 10, "succeeded": 10})
        until(lambda: Counter(states().values()) == expected, f"{expected}", 400)
        for project, state in states().items():
            assert winslow.status(project).state == state
        gate.touch()
        over = {"wait": "succeeded", "fail": "failed", "pause": "succeeded", "leave": "awaiting_input"}
        until(
            lambda: all(states()[project] == over[fate] for project, fate in fates.items()), "those that wait end", 200
        )
