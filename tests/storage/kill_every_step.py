"""Does one thing to a store again and again, each time in a process of its own that is killed (SIGKILL) one step later
than the one before, until one lives to the end; does it once more after each kill; and prints what came of it.

    python kill_every_step.py SCENARIO DIRECTORY

A step is anything that Python's audit hooks see of the file system: opening, linking, renaming, making, deleting,
changing modes, locking. Prints {"kills": n, "results": [distinct results, one expected]} as JSON.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from blake3 import blake3
from committed_trees import addresses

from winslow_dagster.storage.cache import NodeCache
from winslow_dagster.storage.directories import remove_directory
from winslow_dagster.storage.local import LocalStore
from winslow_dagster.storage.manifest import Manifest

STEPS = frozenset(
    {
        "open",
        "os.chmod",
        "os.link",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.scandir",
        "os.utime",
        "fcntl.flock",
        "fcntl.ioctl",
    }
)
TREE = {"a.csv": b"id,x\n", "deep/b.bin": b"\0" * 70_000, "deep/er/c": b""}


Act = Callable[[Path], object]


class FarStore(LocalStore):
    """A store whose files have to be fetched."""

    def read_only_path(self, manifest: Manifest) -> None:  # noqa: ARG002 (the interface's)
        return None


def plant(directory: Path) -> Path:
    for path, content in TREE.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(content)
    return directory


def contents(directory: Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): blake3(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def left_over(root: Path) -> list[str]:
    return sorted(path.name for name in ("staging", "incoming") for path in (root / name).glob("*"))


def set_up_source(place: Path) -> None:
    (plant(place / "source") / "latest").symlink_to("deep")


def commit(place: Path) -> object:
    store = LocalStore(place / "store")
    manifest = store.commit_tree(place / "source", "a/b")
    path = store.read_only_path(manifest)
    assert path is not None
    store.delete_tree("another")  # whatever uses the store next sweeps up
    return {
        "manifest": manifest.model_dump(),
        "stored": contents(path),
        "found": addresses(store),
        "source": (place / "source").exists(),
        "left over": left_over(store.root),
    }


def put(place: Path) -> object:
    store = LocalStore(place / "store")
    manifest = store.put_file(place / "source" / "deep" / "b.bin", "a/b")
    store.delete_tree("another")  # whatever uses the store next sweeps up
    return {
        "manifest": manifest.model_dump(),
        "source": contents(place / "source"),
        "left over": left_over(store.root),
    }


def set_up_two_trees(place: Path) -> None:
    store = LocalStore(place / "store")
    store.commit_tree(plant(place / "source"), "a/b")
    store.commit_tree(plant(place / "other"), "a")


def delete(place: Path) -> object:
    store = LocalStore(place / "store")
    store.delete_tree("a/b")
    return {
        "found": addresses(store),
        "files": sorted(contents(store.root)),
        "left over": left_over(store.root),
    }


def set_up_cache(place: Path) -> None:
    """A cache with something in it that has to go before more can come."""
    store = FarStore(place / "store")
    store.commit_tree(plant(place / "source"), "a/b")
    (place / "old").mkdir()
    (place / "old" / "old").write_bytes(b"x" * 90_000)
    old = store.commit_tree(place / "old", "old")
    cache = NodeCache(place / "cache", limit_bytes=100_000)
    cache.view(store, old, place / "task" / "old")
    remove_directory(place / "task" / "old")


def view(place: Path) -> object:
    store = FarStore(place / "store")
    manifest = store.manifest("a/b")
    assert manifest is not None
    cache = NodeCache(place / "cache", limit_bytes=100_000)
    path = cache.view(store, manifest, place / "task" / "input")
    return {
        "viewed": contents(path),
        "mode": oct(path.stat().st_mode),
        "task": sorted(path.name for path in (place / "task").iterdir()),
        "cached": sorted(contents(place / "cache").values()),
        "left over": left_over(place / "cache"),
    }


SCENARIOS: dict[str, tuple[Act, Act]] = {
    "commit": (set_up_source, commit),
    "put": (set_up_source, put),
    "delete": (set_up_two_trees, delete),
    "view": (set_up_cache, view),
}


def child(act: Act, place: Path, kill_at: int | None, write_to: int) -> None:
    seen = 0

    def hook(event: str, _arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in STEPS:
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    if kill_at is not None:
        sys.addaudithook(hook)
    result = json.dumps(act(place), sort_keys=True)
    os.write(write_to, result.encode())


def in_child(act: Act, place: Path, kill_at: int | None = None) -> str | None:
    """What the act gave, or None where it was killed. All is done in children: hashing threads survive no fork."""
    read_from, write_to = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_from)
        child(act, place, kill_at, write_to)
        os._exit(0)
    os.close(write_to)
    with os.fdopen(read_from) as pipe:
        result = pipe.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return None
    assert status == 0, f"step {kill_at}: it failed with status {status}"
    return result


def main(scenario: str, directory: Path) -> None:
    set_up, act = SCENARIOS[scenario]
    results = set()
    for step in itertools.count(1):
        place = directory / str(step)
        place.mkdir()
        in_child(set_up, place)
        result = in_child(act, place, kill_at=step)
        results.add(result or in_child(act, place))
        if result:
            break
    print(json.dumps({"kills": step - 1, "results": [json.loads(result or "null") for result in results]}))  # noqa: T201 (its output)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
