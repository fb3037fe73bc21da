"""From the way a program ended to what that means, in one sentence for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from winslow_dagster.stages.formatting import duration_in_words, size_in_words
from winslow_dagster.stages.launchers.base import Exit
from winslow_dagster.stages.task.model import Frozen, LogFinding, LogSummary, Outcome, StageTask

LONGEST_QUOTE = 200
NO_SPACE = "No space left on device"
StopCause = Literal["cancelled", "timed_out", "failed"]
Verdict = tuple[Outcome, str]


class Stopping(Frozen):
    """Why and when the runner began to end the stage. Written down before the first signal."""

    cause: StopCause
    message: str
    at: datetime


def cancelled(reason: str) -> str:
    """The sentence for an attempt that was asked to end."""
    return f"cancelled: {reason}" if reason else "cancelled"


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known at the end. `broken` are sentences on promised outputs; `full_disk` is one, or empty.
    `last_line` is the last line of the stage's log.
    """

    how: Exit
    log: LogSummary
    stopping: Stopping | None = None
    broken: Sequence[str] = ()
    full_disk: str = ""
    last_line: LogFinding | None = None


def verdict(task: StageTask, found: Findings) -> Verdict:
    """What it came to. The runner's own doing comes first, then what the system did, then what the program says."""
    if found.stopping is not None:
        return found.stopping.cause, found.stopping.message
    return system_verdict(task, found) or program_verdict(task, found)


def system_verdict(task: StageTask, found: Findings) -> Verdict | None:
    """The verdict where something beyond the program ended it."""
    how = found.how
    if how.failure:
        return "failed", f"it could not start: {how.failure}"
    if how.out_of_memory and how.exit_code not in task.success_exit_codes:
        return "out_of_memory", out_of_memory(task, how, found.log)
    if how.lost:
        return "lost", f"lost: {how.lost}; redo the stage"
    if how.signal is not None and how.exit_code not in task.success_exit_codes and not found.full_disk:
        return "lost", (
            f"lost: a {how.signal} signal from outside ended it (exit {how.exit_code}){last_error(found.log)}; "
            "a person or the system sent it, perhaps because this machine ran out of memory"
        )
    return None


def program_verdict(task: StageTask, found: Findings) -> Verdict:
    """The verdict on a program that ended by itself."""
    code, log = found.how.exit_code, found.log
    if code in task.success_exit_codes:
        return ended_well(task, log, found.broken, found.full_disk)
    if code == task.awaiting_input_exit_code:
        return (
            "awaiting_input",
            log.awaiting_input_message or "the stage needs input, but did not say what",
        )
    if found.full_disk or NO_SPACE in last_error(log):
        return "failed", f"the disk is full ({found.full_disk or 'the stage says so'}): exit {code}{last_error(log)}"
    said = last_error(log) or (quoted("; its last words, log line", found.last_line) if found.last_line else "")
    return "failed", f"failed: exit {code}{said or '; it printed nothing'}"


def ended_well(task: StageTask, log: LogSummary, broken: Sequence[str], disk: str) -> Verdict:
    """The verdict on a program that says it succeeded."""
    if task.log_rules.fail_on_error_line and log.error_count:
        return "failed", f"an error line fails this stage, though it ended with success{last_error(log)}"
    if broken:
        return "failed", "; ".join([*broken, *([f"the disk is full ({disk})"] if disk else [])])
    return "succeeded", f"succeeded, though the disk is full ({disk}): check its outputs" if disk else "succeeded"


def out_of_memory(task: StageTask, how: Exit, log: LogSummary) -> str:
    """The sentence for a program that wanted more memory than it had."""
    limit = f" at {size_in_words(task.memory_bytes)}" if task.memory_bytes else ", with no limit but the machine's"
    remedy = "give the stage more `memory`" if task.memory_bytes else "run it on a machine with more"
    return f"out of memory{limit}: exit {how.exit_code}{last_error(log)}; {remedy}"


def timed_out(timeout_s: float, log: LogSummary) -> str:
    """The sentence for a program that took too long."""
    progress = ", ".join(
        f"{one.subject} {one.current:g}" + (f" of {one.total:g}" if one.total is not None else "")
        for one in log.progress
    )
    reached = f" at {progress}" if progress else ""
    return f"timed out after {duration_in_words(timeout_s)}{reached}; raise `timeout` if it needs longer"


def last_error(log: LogSummary) -> str:
    """The last error line with its number, to be put behind the exit code; empty where there is none."""
    return quoted(", log line", log.errors[-1]) if log.errors else ""


def quoted(lead: str, line: LogFinding) -> str:
    """A line of the log with its number, cut where it is very long."""
    text = line.text.strip()
    return f"{lead} {line.line}: {text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + '…'}"
