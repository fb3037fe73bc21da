"""Many use a local store at once, or are killed before any step: nothing is half done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from committed_trees import Plant, addresses
from local_trees import MEMORY, TREE, contents, files_of

from winslow_dagster.errors import StoreError
from winslow_dagster.storage.local import LocalStore


def test_of_many_who_commit_the_same_at_once_all_get_the_same_tree(local: LocalStore, plant: Plant) -> None:
    sources = [plant(TREE) for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        manifests = set(pool.map(lambda source: local.commit_tree(source, "a"), sources))
    assert len(manifests) == 1
    assert contents(files_of(local, manifests.pop())) == TREE
    assert not list((local.root / "staging").iterdir())


def test_of_many_who_commit_different_content_at_once_one_wins_and_the_others_are_told(
    local: LocalStore, plant: Plant
) -> None:
    def commit(number: int) -> bytes | None:
        try:
            local.commit_tree(plant({"who": str(number).encode()}), "a")
        except StoreError as error:
            errors.append(str(error))
            return None
        return str(number).encode()

    errors: list[str] = []

    with ThreadPoolExecutor(12) as pool:
        winners = [winner for winner in pool.map(commit, range(12)) if winner]
    manifest = local.manifest("a")
    assert manifest is not None
    assert [*contents(files_of(local, manifest)).values()] == winners
    assert len([error for error in errors if "different content is already committed here" in error]) == 11


def test_many_commit_and_delete_at_once(local: LocalStore, plant: Plant) -> None:
    def live(number: int) -> None:
        address = f"shared/{number}"
        for turn in range(5):
            local.commit_tree(plant({"f": f"{number} {turn}".encode()}), address)
            assert local.delete_tree(address) > 0
        local.commit_tree(plant({"f": b"last"}), address)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(live, range(8)))
    assert addresses(local) == [f"shared/{number}" for number in range(8)]


@pytest.mark.parametrize(
    ("scenario", "fewest_kills"),
    [
        pytest.param("commit", 100, marks=pytest.mark.slow),
        ("put", 40),
        ("delete", 40),
        pytest.param("view", 60, marks=pytest.mark.slow),
    ],
)
def test_killed_before_any_step_it_comes_to_the_same_end(scenario: str, fewest_kills: int, tmp_path: Path) -> None:
    program = Path(__file__).with_name("kill_every_step.py")
    # In memory where there is some: the steps are the same, and no disk is waited for after each.
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else tmp_path) as place:
        run = subprocess.run(
            [sys.executable, str(program), scenario, place], capture_output=True, text=True, check=False
        )
    assert run.returncode == 0, run.stderr
    outcome = json.loads(run.stdout)
    assert outcome["kills"] >= fewest_kills
    assert len(outcome["results"]) == 1
    assert outcome["results"][0]["left over"] == []
