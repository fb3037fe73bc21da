"""Sizes, durations, times, counts and progress as people read them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

KIB = 1024
UNITS = ("KiB", "MiB", "GiB", "TiB")
MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86400


class Progress(Protocol):
    """The progress of one subject, such as frames."""

    @property
    def subject(self) -> str:
        """What is counted."""

    @property
    def current(self) -> float:
        """How much is done."""

    @property
    def total(self) -> float | None:
        """How much there is to do."""

    @property
    def unit(self) -> str:
        """`%` if the total is 100 percent."""

    @property
    def remaining_s(self) -> float | None:
        """The estimated time left."""


def format_size(size_bytes: float) -> str:
    """Such as `12 B`, `1.5 MiB`, `8 GiB`."""
    if size_bytes < KIB:
        return f"{size_bytes:.0f} B"
    value = float(size_bytes)
    for unit in UNITS:
        value /= KIB
        if value < KIB or unit == UNITS[-1]:
            break
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"


def format_duration(duration_s: float) -> str:
    """Such as `0.3 s`, `41 s`, `3 h 12 m`, `2 d`."""
    if duration_s < 10:  # noqa: PLR2004  # below this a tenth matters
        return f"{duration_s:.1f}".removesuffix(".0") + " s"
    if duration_s < MINUTE_S:
        return f"{duration_s:.0f} s"
    whole = int(duration_s)
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} m {whole % MINUTE_S} s".removesuffix(" 0 s")
    if whole < DAY_S:
        return f"{whole // HOUR_S} h {whole % HOUR_S // MINUTE_S} m".removesuffix(" 0 m")
    return f"{whole // DAY_S} d {whole % DAY_S // HOUR_S} h".removesuffix(" 0 h")


def format_time(moment: datetime) -> str:
    """Such as `2026-11-29 15:32:06 UTC`. Without a date or a time zone, a time says little in a project of weeks."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def shortened(text: str, longest: int) -> str:
    """The text, or as many of its characters as may be shown, and a mark."""
    return text if len(text) <= longest else f"{text[:longest]}…"


def count_of(number: int, noun: str) -> str:
    """Such as `1 file`, `3 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def format_amount(progress: Progress) -> str:
    """How far a subject has come, such as `frames 120`, `frames 120/375 (32 %)`, `export 32 %`."""
    text = f"{progress.subject} {progress.current:g}"
    if progress.unit == "%":
        return f"{text} %"
    return f"{text}/{progress.total:g} ({100 * progress.current / progress.total:.0f} %)" if progress.total else text


def format_progress(progress: Progress) -> str:
    """The same with the time left if that is known, such as `frames 120/375 (32 %), 1 m 10 s left`."""
    if progress.remaining_s is None:
        return format_amount(progress)
    return f"{format_amount(progress)}, {format_left(progress.remaining_s)}"


def format_left(remaining_s: float) -> str:
    """Such as `3 m 12 s left`; `finishing` where everything is counted, and only its end is awaited."""
    return f"{format_duration(remaining_s)} left" if remaining_s > 0 else "finishing"


def is_utf8(text: str) -> bool:
    """Whether the text can be written as UTF-8. Bytes of another encoding in arguments and file names cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
