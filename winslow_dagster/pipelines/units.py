"""Reads numbers, durations and sizes, and writes the latter two as a file has them. For people: formatting.py."""

from __future__ import annotations

import math
import re

from winslow_dagster.errors import AmountMalformed
from winslow_dagster.pipelines.problems import nearest, shown

SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
# Single letters are powers of 1024, as in Docker, Slurm and Java; KB, MB, … are powers of 1000, as for disks.
BYTES: dict[str, int] = {"B": 1} | {
    f"{prefix}{ending}": base**power
    for power, prefix in enumerate("KMGT", start=1)
    for ending, base in (("", 1024), ("iB", 1024), ("B", 1000))
}
LONGEST_DURATION_S = 3650 * SECONDS["d"]
LARGEST_SIZE_BYTES = 2**63 - 1
DURATION = 'a duration such as "90s", "2h" or "1d 2h", or a number of seconds'
SIZE = 'a size such as "8GiB" or "512M", or a number of bytes'

_AMOUNT = r"[0-9]{1,18}(?:\.[0-9]{1,9})?"
_DURATION_PART = re.compile(rf"({_AMOUNT})\s*([A-Za-z]*)\s*", re.ASCII)
_SIZE = re.compile(rf"({_AMOUNT})\s*([A-Za-z]*)", re.ASCII)
_BYTES_FOLDED = {unit.casefold(): size for unit, size in BYTES.items()}
_COMMON_UNITS = {"sec": "s", "second": "s", "minute": "m", "hour": "h", "hr": "h", "day": "d"}

DURATION_PATTERN = rf"^\s*({_AMOUNT}\s*({'|'.join(SECONDS)})\s*)+$|^\s*{_AMOUNT}\s*$"
SIZE_PATTERN = rf"^\s*{_AMOUNT}\s*([Bb]|[KkMmGgTt]([Ii]?[Bb])?)?\s*$"


def parse_number(text: str) -> float | None:
    """The number in a text, `nan` and `inf` included; None for anything else. Python would read `1_0` as ten."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def parse_finite(text: str) -> float | None:
    """The finite number in a text; None for anything else."""
    number = parse_number(text)
    return number if number is not None and math.isfinite(number) else None


def parse_duration_s(written: str | float) -> float:
    """Seconds of `90s`, `2h`, `1d 2h`, `1h30m` or a plain number. Raises AmountMalformed."""
    total_s = float(written) if isinstance(written, (int, float)) else _sum_of_parts(written)
    if not math.isfinite(total_s) or not 0 <= total_s <= LONGEST_DURATION_S:
        raise AmountMalformed(f"{shown(written)} is out of range", expected="a duration from 0 to 3650d")
    return total_s


def parse_size_bytes(written: str | int) -> int:
    """Bytes of `8GiB`, `512M`, `1.5 GB` or a plain number. Raises AmountMalformed."""
    size = written if isinstance(written, int) else _bytes_of(written)
    if not 0 <= size <= LARGEST_SIZE_BYTES:
        raise AmountMalformed(f"{shown(written)} is out of range", expected="a size from 0 to 8388607TiB")
    return size


def written_duration(seconds: float) -> str:
    """`1d 2h`, `1m 30s`, `0.5s`: the inverse of `parse_duration_s`."""
    whole = int(seconds)
    if whole != seconds or not whole:
        return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, whole = divmod(whole, SECONDS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts)


def written_size(size: int) -> str:
    """`8GiB`, `512MiB`, `1000B`: the largest binary unit that leaves a whole number."""
    for prefix in "TGMK":
        count, rest = divmod(size, BYTES[f"{prefix}iB"])
        if count and not rest:
            return f"{count}{prefix}iB"
    return f"{size}B"


def _sum_of_parts(text: str) -> float:
    stripped = text.strip()
    parts = list(_DURATION_PART.finditer(stripped))
    if not parts or "".join(part[0] for part in parts) != stripped:
        raise AmountMalformed(f"{shown(text)} is not a duration", expected=DURATION)
    if len(parts) == 1 and not parts[0][2]:
        return float(parts[0][1])
    if any(part[2] not in SECONDS for part in parts):
        units = [(part[1], _unit_of(part[2])) for part in parts]
        suggestion = " ".join(f"{amount}{unit}" for amount, unit in units) if all(unit for _, unit in units) else ""
        raise AmountMalformed(f"{shown(text)} is not a duration", expected=DURATION, suggestion=suggestion)
    return sum(float(part[1]) * SECONDS[part[2]] for part in parts)


def _unit_of(word: str) -> str:
    """The unit of time that a word stands for, or an empty string."""
    return nearest(word, SECONDS) or _COMMON_UNITS.get(nearest(word, _COMMON_UNITS), "")


def _bytes_of(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise AmountMalformed(f"{shown(text)} is not a size", expected=SIZE)
    amount, unit = match.groups()
    factor = _BYTES_FOLDED.get(unit.casefold() or "b")
    if factor is None:
        close = nearest(unit, BYTES)
        suggestion = f"{amount}{close}" if close else ""
        raise AmountMalformed(f"{shown(text)} is not a size", expected=SIZE, suggestion=suggestion)
    whole, _, fraction = amount.partition(".")
    return int(whole) * factor + (int(fraction) * factor // 10 ** len(fraction) if fraction else 0)
