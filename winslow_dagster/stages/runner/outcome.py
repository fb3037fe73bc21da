"""Derives the outcome of an attempt, and one sentence about it, from how its program ended.

The sentence is shown beside the outcome, and does not repeat it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from winslow_dagster.formatting import format_amount, format_duration, format_size, shortened
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.stages.launchers.base import ExitStatus
from winslow_dagster.stages.task.model import LogFinding, LogSummary, Outcome, StageTask

LONGEST_QUOTE = 200
NO_SPACE = "No space left on device"
StopCause = Literal["cancelled", "timed_out", "failed"]
Verdict = tuple[Outcome, str]


class Stopping(Frozen):
    """Why and when the runner began to stop the stage. Recorded before the first signal."""

    cause: StopCause
    message: str
    at: datetime


def cancelled(reason: str) -> str:
    """The message for a cancelled attempt."""
    return reason or "on request"


@dataclass(frozen=True, slots=True)
class EndFacts:
    """What is known when the program has ended.

    `broken` has one sentence for each promised output that is missing. `full_disk` describes a full disk, or is empty.
    `last_line` is the last line of the stage's log. `changed` says which input the stage changed, or is empty.
    `log_problem` is why the log is incomplete, or empty.
    """

    exit_status: ExitStatus
    log: LogSummary
    stopping: Stopping | None = None
    broken: Sequence[str] = ()
    full_disk: str = ""
    last_line: LogFinding | None = None
    changed: str = ""
    log_problem: str = ""

    @property
    def said(self) -> str:
        """The first error line or else the last line, and what is missing, to append to how the program ended.

        The first: those that follow are mostly consequences of it.
        """
        missing = f"; its log is incomplete: {self.log_problem}" if self.log_problem else ""
        return (first_error(self.log) or last_line(self.last_line)) + missing

    @property
    def says_disk_is_full(self) -> bool:
        """Whether an error line, or else the last line, says so."""
        lines = self.log.errors or ([self.last_line] if self.last_line else [])
        return any(NO_SPACE in line.text for line in lines)


def verdict(task: StageTask, facts: EndFacts) -> Verdict:
    """The outcome and its message. Precedence: stopped by the runner, stopped by the system, ended by itself."""
    if facts.stopping is not None:
        if facts.stopping.cause == "timed_out" and task.timeout_s is not None:
            return "timed_out", timed_out(task.timeout_s, facts.log, facts.said)
        return facts.stopping.cause, facts.stopping.message
    return system_verdict(task, facts) or program_verdict(task, facts)


def system_verdict(task: StageTask, facts: EndFacts) -> Verdict | None:
    """The verdict on a program that something outside it ended; None if it ended by itself."""
    exit_status = facts.exit_status
    code = exit_status.exit_code
    if exit_status.failure:
        return "failed", f"the stage could not start: {exit_status.failure}"
    if exit_status.out_of_memory and code not in task.success_exit_codes:
        return "out_of_memory", out_of_memory(task, code, facts.said)
    if exit_status.lost:
        return "lost", f"lost: {exit_status.lost}; redo the stage"
    if exit_status.signal is not None and code not in task.success_exit_codes and not facts.full_disk:
        return "lost", (
            f"lost: terminated by SIG{exit_status.signal} from outside Winslow (exit code {code})"
            f"{facts.said}; a user or the system sent the signal, perhaps because the machine ran out of "
            "memory"
        )
    return None


def program_verdict(task: StageTask, facts: EndFacts) -> Verdict:
    """The verdict on a program that ended by itself."""
    code = facts.exit_status.exit_code
    succeeded = code in task.success_exit_codes
    ended_well = succeeded or code == task.awaiting_input_exit_code
    if ended_well and facts.changed:
        return "failed", facts.changed
    if ended_well and facts.full_disk:
        return "failed", (
            f"the disk was full ({facts.full_disk}), so the outputs and the log may be incomplete, although the exit "
            f"code is {code}; free space and redo the stage"
        )
    if ended_well and not (succeeded and facts.log.awaiting_input_message is None):
        return "awaiting_input", facts.log.awaiting_input_message or "the stage needs input, but did not say what for"
    if succeeded:
        return success_verdict(task, facts)
    if facts.full_disk or facts.says_disk_is_full:
        disk = facts.full_disk or "reported by the stage"
        return "failed", f"the disk is full ({disk}): exit code {code}{facts.said}"
    return "failed", f"exit code {code}{facts.said}{convention(code)}"


def success_verdict(task: StageTask, facts: EndFacts) -> Verdict:
    """The verdict on a program whose exit code means success."""
    strict, end = task.log_rules.fail_on_error_line, first_error(facts.log)
    if strict and facts.log.error_count:
        return "failed", f"the log has an error line, although the exit code means success{end}"
    if strict and facts.log_problem:
        return "failed", f"the log may have an error line, because it is incomplete: {facts.log_problem}"
    if facts.broken:
        return "failed", "; ".join(facts.broken)
    return "succeeded", f"its log is incomplete: {facts.log_problem}" if facts.log_problem else ""


def out_of_memory(task: StageTask, exit_code: int | None, said: str) -> str:
    """The message for a program that exceeded its memory."""
    limit = f" at {format_size(task.memory_bytes)}" if task.memory_bytes else ", limited only by the machine"
    remedy = "give the stage more `memory`" if task.memory_bytes else "run it on a machine with more memory"
    return f"out of memory{limit}: exit code {exit_code}{said}; {remedy}"


def timed_out(timeout_s: float, log: LogSummary, said: str = "") -> str:
    """The message for a program that exceeded its timeout. What it said is not known while it is being stopped."""
    progress = ", ".join(map(format_amount, log.progress))
    reached = f" at {progress}" if progress else ""
    return f"timed out after {format_duration(timeout_s)}{reached}{said}; raise `timeout` if the stage needs longer"


def first_error(log: LogSummary) -> str:
    """The first error line with its number, to append to the exit code; empty if there is none."""
    return f", log line {log.errors[0].line}: {quoted(log.errors[0].text)}" if log.errors else ""


def last_line(line: LogFinding | None) -> str:
    """The last line of the log with its number, to append to the exit code."""
    return f"; last log line ({line.line}): {quoted(line.text)}" if line else "; it printed nothing"


def convention(exit_code: int | None) -> str:
    """What shells and container runtimes mean by the exit code, to append to the message; empty for any other code."""
    fault = {126: "cannot be executed", 127: "was not found"}.get(exit_code or 0)
    if fault is None:
        return ""
    return f"; exit code {exit_code} means that a program {fault}: check `command`, `args` and what the image contains"


def quoted(text: str) -> str:
    """A log line, cut if very long."""
    return shortened(text.strip(), LONGEST_QUOTE)
