"""Compares what rules in force remove with what changed rules would. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from winslow_dagster.projects.domain.retention import RemovalSum, RulesPreview
from winslow_dagster.projects.retention.rules import Removal, RemovalKind

MOST_SUMS = 200


def preview(now: Iterable[Removal], then: Iterable[Removal]) -> RulesPreview:
    """What is removed `then` and not `now`, and the other way round.

    Sizes are exact unless both rules remove some files of one tree, and each also others of it.
    """
    before = {(each.kind, each.address): each for each in now}
    after = {(each.kind, each.address): each for each in then}
    removed, removed_bytes = _sums(after, before)
    kept, kept_bytes = _sums(before, after)
    return RulesPreview(removed=removed, kept=kept, removed_bytes=removed_bytes, kept_bytes=kept_bytes)


Tree = tuple[RemovalKind, str]
"""The kind of a removal, and its address: there is one removal of each."""


def _sums(of: dict[Tree, Removal], without: dict[Tree, Removal]) -> tuple[tuple[RemovalSum, ...], int]:
    """What the first remove and the second do not, added up by stage and reason, the largest first; and its size."""
    attempts: dict[tuple[str, str, str, str], set[str]] = {}
    sizes: dict[tuple[str, str, str, str], int] = {}
    for tree, removal in of.items():
        more = removal.size_bytes - _shared_bytes(removal, without.get(tree))
        if more > 0:
            key = (removal.project, removal.stage, removal.kind, removal.reason)
            attempts.setdefault(key, set()).add(removal.task_id)
            sizes[key] = sizes.get(key, 0) + more
    found = [
        RemovalSum(
            project=key[0], stage=key[1], kind=key[2], reason=key[3], attempts=len(attempts[key]), size_bytes=size
        )
        for key, size in sizes.items()
    ]
    return tuple(sorted(found, key=lambda each: -each.size_bytes)[:MOST_SUMS]), sum(sizes.values())


def _shared_bytes(removal: Removal, other: Removal | None) -> int:
    """How much of the tree both remove."""
    if other is None:
        return 0
    if removal.paths is not None and other.paths is not None and not set(removal.paths) & set(other.paths):
        return 0
    return min(removal.size_bytes, other.size_bytes)
