"""Progress of transfers and runs: bars on a terminal, one line per change elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from winslow_dagster.cli.escaping import escaped
from winslow_dagster.cli.output import console, say
from winslow_dagster.formatting import format_duration, format_left, shortened

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from winslow_dagster.projects.domain.views import ProjectStatus, StageView

Moved = Callable[[int], None]
Started = Callable[[str, int], Moved]
"""Called with name and size when a transfer starts; returns a callback for bytes transferred."""
Shows = Callable[["ProjectStatus"], None]
LONGEST_REASON = 100
"""Of a stage, while a run is followed: whoever ends the command tells it in full."""


@contextlib.contextmanager
def transfer_bars(verb: str) -> Iterator[Started | None]:
    """A bar for each file that is transferred. None if the output is not a terminal."""
    terminal = console(stderr=True)
    if not terminal.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=terminal) as bars:

        def begins(name: str, size_bytes: int) -> Moved:
            task = bars.add_task(escaped(f"{verb} {name}"), total=size_bytes)
            return lambda more_bytes: bars.advance(task, more_bytes)

        yield begins


@contextlib.contextmanager
def run_display(*, quiet: bool = False) -> Iterator[Shows | None]:
    """Shows the status of a run each time it is called. None if quiet."""
    terminal = console(stderr=True)
    if quiet:
        yield None
    elif terminal.is_terminal:
        with _bars(terminal) as bars:
            yield RunBars(bars)
    else:
        yield RunLines()


class RunLines:
    """One line for each change of the run's or a stage's state."""

    def __init__(self) -> None:
        self._run = ""
        self._stages: dict[str, str] = {}

    def __call__(self, status: ProjectStatus) -> None:
        """Print what changed."""
        first = not self._stages
        for view in status.stages:
            line = stage_line(view)
            before = self._stages.get(view.stage)
            self._stages[view.stage] = line
            if line != before and not (first and view.run_id != status.run_id) and view.run_id is not None:
                say(f"  {view.stage}: {line}")
        line = _project_line(status)
        if line != self._run:
            self._run = line
            say(f"{status.project}: {line}")


class RunBars:
    """A bar for each running stage and each subject of its progress."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._lines = ""
        self._ended: set[str] = set()

    def __call__(self, status: ProjectStatus) -> None:
        """Bring the bars up to date."""
        for view in status.stages:
            if view.run_id != status.run_id or view.task_id is None:
                continue
            if view.ended_at is not None:
                self._end(view)
            else:
                self._show(view)
        if status.state != "running" or status.reason:
            self._tell(_project_line(status))

    def _tell(self, line: str) -> None:
        if line != self._lines:
            self._lines = line
            self._bars.console.print(line, markup=False)

    def _end(self, view: StageView) -> None:
        for key in [key for key in self._tasks if key == view.stage or key.startswith(f"{view.stage} ")]:
            self._bars.remove_task(self._tasks.pop(key))
        if view.task_id is not None and view.task_id not in self._ended:
            self._ended.add(view.task_id)
            mark, style = ("✓", "green") if view.state == "succeeded" else ("✗", "bold red")
            self._bars.console.print(f"{mark} {view.stage}: {stage_line(view)}", style=style, markup=False)

    def _show(self, view: StageView) -> None:
        self._bar(view.stage, view.stage, view.reason, None, None, None)
        for subject in view.progress:
            self._bar(
                f"{view.stage} {subject.subject}",
                f"  {subject.subject}",
                "" if subject.remaining_s is None else format_left(subject.remaining_s),
                subject.current,
                subject.total,
                subject.unit,
            )

    def _bar(  # noqa: PLR0913, PLR0917  # the fields of one bar
        self, key: str, title: str, note: str, current: float | None, total: float | None, unit: str | None
    ) -> None:
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(title, total=total, note="", amount="")
        amount = "" if current is None else f"{current:g}{f'/{total:g}' if total else ''} {unit}".strip()
        self._bars.update(
            self._tasks[key], completed=current or 0, total=total, note=escaped(note), amount=escaped(amount)
        )


def stage_line(view: StageView) -> str:
    """Such as `succeeded in 41 s`, `failed: exit code 3`, `waiting: waits for a GPU`."""
    if view.state == "succeeded":
        line = f"succeeded in {format_duration(view.duration_s or 0)}"
        if view.warning_count:
            line += f", {view.warning_count} warning{'' if view.warning_count == 1 else 's'}"
        return line
    return f"{view.state}: {shortened(view.reason, LONGEST_REASON)}" if view.reason else view.state


def _project_line(status: ProjectStatus) -> str:
    """The project's state, without the reason of a failure, which the line of its stage has told."""
    told = status.state in {"failed", "cancelled"} and any(view.run_id == status.run_id for view in status.stages)
    return f"{status.state} ({status.reason})" if status.reason and not told else status.state


def _bars(terminal: Console) -> Progress:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[amount]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
        console=terminal,
        transient=True,
    )
