"""What is installed is what was locked, and the locks say what pyproject.toml says."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
RUNTIME, DEVELOPMENT = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
TRACKER = ROOT / "tracker_application"
LOCKS = (RUNTIME, DEVELOPMENT, TRACKER / "requirements.lock")


def entries(lock: Path) -> Iterator[tuple[Requirement, int]]:
    """Each pinned requirement, with how many hashes it has."""
    text = re.sub(r"^#.*$", "", lock.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(str.strip, text.splitlines()):
        requirement, *hashes = line.split("--hash=sha256:")
        yield Requirement(requirement.strip()), len(hashes)


def pins(lock: Path) -> dict[str, Version]:
    """Name -> version, of what this machine would install."""
    here = default_environment()
    return {
        canonicalize_name(entry.name): Version(next(iter(entry.specifier)).version)
        for entry, _ in entries(lock)
        if entry.marker is None or entry.marker.evaluate(dict(here))
    }


def named(package: Path, *, group: str | None = None) -> list[Requirement]:
    project = tomllib.loads((package / "pyproject.toml").read_text())
    found = project["project"]["dependencies"] if group is None else project["dependency-groups"][group]
    return [Requirement(text) for text in found]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_everything_is_pinned_to_one_version_and_has_hashes(lock: Path) -> None:
    loose = [
        str(entry) for entry, hashes in entries(lock) if hashes == 0 or not re.match("==[^*]+$", str(entry.specifier))
    ]
    assert loose == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_a_lock_names_no_place_to_install_from(lock: Path) -> None:
    assert re.findall(r"https?:|file:|--(?:index|extra|find|trusted)[-\w]*", lock.read_text()) == []


@pytest.mark.parametrize(
    ("wanted", "lock"),
    [
        (named(ROOT), RUNTIME),
        (named(ROOT), DEVELOPMENT),
        (named(ROOT, group="dev"), DEVELOPMENT),
        (named(TRACKER), TRACKER / "requirements.lock"),
    ],
    ids=["runtime", "runtime in the development lock", "development", "tracker_application"],
)
def test_what_pyproject_names_is_locked_at_a_version_it_allows(wanted: list[Requirement], lock: Path) -> None:
    locked = pins(lock)
    astray = [
        str(requirement)
        for requirement in wanted
        if (version := locked.get(canonicalize_name(requirement.name))) is None or version not in requirement.specifier
    ]
    assert astray == [], "run `make lock`"


def test_locks_that_are_installed_together_agree() -> None:
    ours, trackers = pins(DEVELOPMENT), pins(TRACKER / "requirements.lock")
    assert pins(RUNTIME).items() <= ours.items()
    assert {
        name: (ours[name], trackers[name]) for name in ours.keys() & trackers.keys() if ours[name] != trackers[name]
    } == {}
