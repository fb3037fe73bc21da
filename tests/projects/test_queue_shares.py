"""How owners and projects share the queue: who goes first."""

from __future__ import annotations

from random import Random

import pytest

from winslow_dagster.projects.domain.queue_rules import QueueItem, QueueLimits, in_order, places_of, starting
from winslow_dagster.projects.domain.queue_shares import QueueShares, RecentUse, turn_text

BY_OWNER = QueueShares("owner")
MANY = QueueLimits(runs=1000, gpu_runs=1000)


def runs(owner: str, count: int, *, gpu: bool = True, priority: int = 0) -> list[QueueItem]:
    return [QueueItem(f"{owner}-{n}", sharer=owner, needs_gpu=gpu, priority=priority) for n in range(count)]


def order(
    waiting: list[QueueItem], in_progress: list[QueueItem] | None = None, shares: QueueShares = BY_OWNER
) -> list[str]:
    return [item.run_id for item in in_order(waiting, places_of(MANY, in_progress or [], shares))]


def test_owners_take_turns_and_each_in_the_order_in_which_its_runs_were_queued() -> None:
    found = order([*runs("anna", 4), *runs("bert", 2)])

    assert found == ["anna-0", "bert-0", "anna-1", "bert-1", "anna-2", "anna-3"]


def test_whoever_has_the_fewest_runs_in_progress_goes_first() -> None:
    found = order([*runs("anna", 2), *runs("bert", 3)], [*runs("anna", 2)])

    assert found == ["bert-0", "bert-1", "anna-0", "bert-2", "anna-1"]


def test_of_those_with_equally_many_the_one_that_used_the_least_lately_goes_first() -> None:
    recent = {"anna": RecentUse(gpu_s=10.0, stage_s=1.0), "bert": RecentUse(gpu_s=5.0, stage_s=2.0)}
    shares = QueueShares("owner", recent=recent)

    assert order([*runs("anna", 1), *runs("bert", 1), *runs("carla", 1)], shares=shares) == [
        "carla-0",
        "bert-0",
        "anna-0",
    ]
    assert order([*runs("bert", 1, gpu=False), *runs("anna", 1, gpu=False)], shares=shares) == ["anna-0", "bert-0"]


def test_a_weight_of_two_has_two_turns() -> None:
    shares = QueueShares("owner", weights={"anna": 2.0})

    assert order([*runs("bert", 3), *runs("anna", 6)], shares=shares)[:6] == [
        "bert-0",
        "anna-0",
        "anna-1",
        "bert-1",
        "anna-2",
        "anna-3",
    ]


def test_a_higher_priority_goes_before_any_share() -> None:
    assert order([*runs("bert", 1), *runs("anna", 1, priority=1)], runs("anna", 9)) == ["anna-0", "bert-0"]


def test_a_run_that_could_not_start_takes_no_turn_from_its_owner() -> None:
    held = [QueueItem(f"held-{n}", sharer="anna", held=True) for n in range(3)]
    swept = [QueueItem(f"swept-{n}", sharer="anna", sweeps=(("s", 1),)) for n in range(3)]
    waiting = [*held, *swept, QueueItem("anna", sharer="anna"), QueueItem("bert", sharer="bert")]

    found = order(waiting)

    assert found.index("bert") == found.index("swept-0") + 1, "one of the sweep can start, and that is a turn"
    assert found[-1] == "anna"


def test_without_shares_runs_go_in_the_order_in_which_they_were_queued() -> None:
    waiting = [*runs("anna", 3, gpu=False), *runs("bert", 2), *runs("anna", 1)]

    assert order(waiting, runs("anna", 5), QueueShares()) == [item.run_id for item in waiting]
    assert order(runs("anna", 3, gpu=False) + runs("anna", 3)) == [
        item.run_id for item in runs("anna", 3, gpu=False) + runs("anna", 3)
    ], "one owner alone has nobody to take turns with"


@pytest.mark.parametrize("seed", range(20))
def test_however_the_runs_come_and_go_owners_who_wait_have_equally_many_places(seed: int) -> None:
    """Whoever still waits has at most one run fewer in progress than anybody who was given a place meanwhile."""
    random = Random(seed)
    owners = ["anna", "bert", "carla", "dora"]
    waiting = [QueueItem(str(n), sharer=random.choice(owners), needs_gpu=True) for n in range(300)]
    places = places_of(QueueLimits(runs=30, gpu_runs=12), [], BY_OWNER)
    in_progress: list[QueueItem] = []
    while waiting:
        started = starting(waiting, places)
        waiting = [item for item in waiting if item not in started]
        in_progress += started
        assert places.gpu_runs == len(in_progress) <= 12
        left = {item.sharer for item in waiting}
        for item in started:
            for other in left - {item.sharer}:
                assert places.taken[other, True] >= places.taken[item.sharer, True] - 1
        for _ in range(random.randint(1, 5)):
            if in_progress:
                places.leave(in_progress.pop(random.randrange(len(in_progress))))


def test_it_is_told_in_words_why_others_go_first() -> None:
    used = QueueShares("owner", recent={"anna": RecentUse(gpu_s=5.0)})

    assert turn_text(BY_OWNER, "anna", 3, 0, needs_gpu=True) == "owners take turns, and owner anna has 3 in progress"
    assert turn_text(BY_OWNER, "anna", 3, 2, needs_gpu=True) == (
        "owners take turns, and owner anna has 3 in progress and 2 before this one"
    )
    assert turn_text(used, "anna", 0, 0, needs_gpu=True) == (
        "owners take turns, and owner anna has used more of the GPUs in the last 24 h"
    )
