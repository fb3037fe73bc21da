"""A check of the installation for pages: its findings can be read one by one, while it goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from winslow_dagster.errors import WinslowError
from winslow_dagster.projects.commands.diagnosis import Finding


@dataclass(eq=False)
class Checkup:
    """One check. `findings` grows until it is `done`; `problem` is why it ended early, or empty."""

    number: int
    findings: tuple[Finding, ...] = ()
    problem: str = ""
    done: bool = False


@dataclass(eq=False)
class Checkups:
    """The checks of one installation, one at a time: who asks for one while another goes on sees that one."""

    diagnose: Callable[[], Iterator[Finding]]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _latest: Checkup | None = None

    def begin(self) -> Checkup:
        """A check that goes on in the background."""
        with self._lock:
            latest = self._latest
            if latest is not None and not latest.done:
                return latest
            self._latest = Checkup(1 if latest is None else latest.number + 1)
            threading.Thread(target=self._run, args=(self._latest,), name="checkup", daemon=True).start()
            return self._latest

    def read(self, number: int) -> Checkup:
        """The check of this number, or where there is a later one, that."""
        latest = self._latest
        return self.begin() if latest is None or latest.number < number else latest

    def _run(self, checkup: Checkup) -> None:
        try:
            for finding in self.diagnose():
                checkup.findings = (*checkup.findings, finding)
        except WinslowError as error:
            checkup.problem = str(error)
        finally:
            checkup.done = True
