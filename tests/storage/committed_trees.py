"""Trees to commit, and what a store has committed, read from its commit markers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from winslow_dagster.storage.layout import MANIFEST_SUFFIX, MANIFESTS
from winslow_dagster.storage.local import LocalStore
from winslow_dagster.storage.store import Store

Tree = dict[str, bytes]
Plant = Callable[[Tree], Path]
Harvest = Callable[[Store, str], Tree]
ADDRESS = "projects/ulm-07/detect/run.detect.1/output"
TREE: Tree = {
    "trajectories.csv": b"id,x,y\n1,2,3\n",
    "frames/0001.jpg": b"\xff\xd8" * 500,
    "frames/deep/er/0002.jpg": b"",
    "Straße & 50% #1 ~ [x] {y} 'z' \"q\" ?*.txt": b"names are names",
    "..almost": b"dots",
}


def addresses(store: Store) -> list[str]:
    """The addresses of all committed trees, in order."""
    if isinstance(store, LocalStore):
        keys = [path.relative_to(store.root).as_posix() for path in (store.root / MANIFESTS).rglob("*.json")]
    else:
        from winslow_dagster.storage.s3 import S3Store

        assert isinstance(store, S3Store)
        keys = [key.removeprefix(store._prefix) for key, _ in store._bucket.keys(store._prefix + MANIFESTS)]
    return sorted(key.removeprefix(f"{MANIFESTS}/").removesuffix(MANIFEST_SUFFIX) for key in keys)
