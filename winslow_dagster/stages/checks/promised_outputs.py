"""Checks that a stage wrote the outputs that its pipeline promises."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from winslow_dagster.formatting import format_size
from winslow_dagster.globs import matches, matches_ignoring_case, matching_files
from winslow_dagster.pipelines.model.stage_rules import PromisedOutput

SHOWN = 5
NEAR = 0.6


def broken_promises(output: Path, promised: Sequence[PromisedOutput]) -> tuple[str, ...]:
    """One sentence for each promised output that is missing or too small, with what exists instead."""
    names = matching_files(output, ["**", *(promise.glob for promise in promised)])
    sizes = {name: (output / name).stat().st_size for name in names}
    sentences = (broken_promise(sizes, promise) for promise in promised)
    return tuple(sentence for sentence in sentences if sentence)


def broken_promise(sizes: dict[str, int], promise: PromisedOutput) -> str:
    """The sentence for one promised output; empty if it is present. `sizes` has all files."""
    names = [name for name in sizes if matches(name, promise.glob)]
    small = [name for name in names if sizes[name] < promise.min_size_bytes]
    if small:
        least = format_size(promise.min_size_bytes)
        return f"the promised output {promise.glob} is too small: {listed(small, sizes)}; expected at least {least}"
    if names:
        return ""
    sentence = f"the promised output {promise.glob} is missing"
    if not sizes:
        return f"{sentence}; the stage wrote no files"
    near = near_misses(promise.glob, list(sizes))
    if near:
        return f"{sentence}; did you mean {listed(near, sizes)}?"
    return f"{sentence}; the stage wrote {listed(list(sizes), sizes)}"


def near_misses(pattern: str, names: Sequence[str]) -> list[str]:
    """Files that the pattern may be meant for: other case, other directory, or a similar name."""
    wanted = PurePosixPath(pattern).name
    same = [name for name in names if matches_ignoring_case(PurePosixPath(name).name, wanted)]
    lowered = {name.lower(): name for name in names}
    similar = difflib.get_close_matches(pattern.lower(), lowered, n=SHOWN, cutoff=NEAR)
    return list(dict.fromkeys([*same, *(lowered[name] for name in similar)]))


def listed(names: Sequence[str], sizes: dict[str, int]) -> str:
    """The first few names with their sizes, and the number of the others."""
    shown = ", ".join(f"{name} ({format_size(sizes[name])})" for name in names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown
