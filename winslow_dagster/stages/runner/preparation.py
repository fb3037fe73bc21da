"""What a stage needs before it starts: its inputs on this node, its environment and its arguments."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from winslow_dagster.errors import StoreUnreachable
from winslow_dagster.pipelines.substitution import resolve_environment, substitute
from winslow_dagster.stages.disk import Space
from winslow_dagster.stages.formatting import size_in_words
from winslow_dagster.stages.launchers.base import Launch, Places
from winslow_dagster.stages.launchers.stage_variables import own_variables
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import NodeGpu, StageTask
from winslow_dagster.storage.cache import NodeCache
from winslow_dagster.storage.factory import open_store
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.store import Store

Announce = Callable[[str], None]
Answer = TypeVar("Answer")

CACHE_SHARE = 0.5
"""Of the disk: so much may inputs of earlier stages occupy that nobody uses any more."""
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0


def launch_of(
    task: StageTask, directory: TaskDirectory, places: Places, gpus: Sequence[NodeGpu], announce: Announce
) -> Launch:
    """Everything the launcher needs; the inputs are on this node afterwards.

    Raises VariableMissing, TemplateMalformed, StoreError, OSError, and whatever `announce` does.
    """
    variables = own_variables(task, places, gpus)
    env = resolve_environment(task.env_layers, variables)
    command, args = (
        tuple(substitute(word, env, where=f"{word!r} of stage {task.stage}") for word in words)
        for words in (task.command, task.args)
    )
    views = Views(task, directory, announce)
    nothing = directory.work / "nothing"
    nothing.mkdir(exist_ok=True)
    directory.output.mkdir(exist_ok=True)
    take_checkpoint(task, directory)
    return Launch(
        task=task,
        command=command,
        args=args,
        env=env,
        output=directory.output,
        checkpoint=directory.checkpoint,
        nothing=nothing,
        inputs={name: views.of(manifest, f"input {name}") for name, manifest in task.inputs.items()},
        resources={name: views.of(manifest, f"resource {name}") for name, manifest in task.resources.items()},
        gpus=tuple(gpus),
    )


def take_checkpoint(task: StageTask, directory: TaskDirectory) -> None:
    """Make the checkpoint directory: what the attempt before left in its own, where that lies on this node."""
    if directory.checkpoint.exists():
        return
    if task.continues is not None:
        before = TaskDirectory.of(directory.path.parent, task.continues)
        # An attempt without a result may still be served: it keeps what it has.
        if before.result() is not None:
            with contextlib.suppress(FileNotFoundError):
                before.checkpoint.rename(directory.checkpoint)
    directory.checkpoint.mkdir(exist_ok=True)


class Views:
    """Read-only directories of what the store has."""

    def __init__(self, task: StageTask, directory: TaskDirectory, announce: Announce) -> None:
        self._store = open_store(task.store_url, task.s3_endpoint)
        self._announce = announce
        self._place = directory.work / "views"
        home = directory.path.parent.parent
        self._cache = NodeCache(home / "cache", int(Space.at(directory.path).total_bytes * CACHE_SHARE))

    def of(self, manifest: Manifest, name: str) -> Path:
        """The directory with the manifest's files. `name` is told to whoever waits for them."""
        progress = Progress(f"fetches {name}", manifest.size_bytes, self._announce)
        target = self._place / name.replace(" ", "-")
        return patiently(lambda: self._cache.view(self._store, manifest, target, progress.moved), self._announce)


class Progress:
    """Says how far a transfer is, about once a second. `moved` may be called from any thread."""

    def __init__(self, what: str, total_bytes: int, announce: Announce) -> None:
        self._what = what
        self._total = size_in_words(total_bytes)
        self._announce = announce
        self._lock = threading.Lock()
        self._moved_bytes = 0
        self._said_at = time.monotonic()

    def moved(self, more_bytes: int) -> None:
        """Take note. Raises what the announcement raises: that ends the transfer."""
        with self._lock:
            self._moved_bytes += more_bytes
            now = time.monotonic()
            if now - self._said_at < 1:
                return
            self._said_at = now
            said = f"{self._what}: {size_in_words(self._moved_bytes)} of {self._total}"
        self._announce(said)


def patiently(call: Callable[[], Answer], announce: Announce) -> Answer:
    """Do it again while the store does not answer. `announce` may raise to give up."""
    wait_s = FIRST_WAIT_S
    while True:
        try:
            return call()
        except StoreUnreachable as error:
            until = time.monotonic() + wait_s
            while time.monotonic() < until:
                announce(f"waits for the store: {error}")
                threading.Event().wait(min(FIRST_WAIT_S, wait_s))
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)


def committed(store: Store, source: Path, address: str, progress: Progress, announce: Announce) -> Manifest:
    """The directory `source` in the store, however long the store is away."""
    return patiently(lambda: store.commit_tree(source, address, progress.moved), announce)
