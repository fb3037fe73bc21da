"""Prepares the start of a stage: its inputs on this node, its environment and its arguments."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from winslow_dagster.errors import StoreError
from winslow_dagster.formatting import format_size
from winslow_dagster.pipelines.substitution import resolve_environment, substitute
from winslow_dagster.stages.disk_space import Space
from winslow_dagster.stages.launchers.base import Launch, Places
from winslow_dagster.stages.launchers.stage_variables import own_variables
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import NodeGpu, StageTask
from winslow_dagster.storage.cache import NodeCache
from winslow_dagster.storage.factory import open_store
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.outage import Announce, retried
from winslow_dagster.storage.store import Store

CACHE_SHARE = 0.5
"""The share of the disk that cached inputs no longer in use may occupy."""


def launch_of(
    task: StageTask, directory: TaskDirectory, places: Places, gpus: Sequence[NodeGpu], views: Views
) -> Launch:
    """Everything the launcher needs. Fetches the inputs to this node.

    Raises VariableMissing, TemplateMalformed, StoreError, OSError, and what `announce` raises.
    """
    variables = own_variables(task, places, gpus)
    env = resolve_environment(task.env_layers, variables)
    command, args = (
        tuple(substitute(word, env, where=f"{word!r} of stage {task.stage}") for word in words)
        for words in (task.command, task.args)
    )
    nothing = directory.work / "nothing"
    nothing.mkdir(exist_ok=True)
    directory.output.mkdir(exist_ok=True)
    directory.write_secrets({})  # the directory exists also without any
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
        secrets=directory.secrets,
        secrets_in_env=tuple(name for name, reference in env.secrets.items() if reference.in_env),
        gpus=tuple(gpus),
    )


def take_checkpoint(task: StageTask, directory: TaskDirectory) -> None:
    """Create the checkpoint directory, from the previous attempt's checkpoint if that is on this node."""
    if directory.checkpoint.exists():
        return
    if task.continues is not None:
        before = TaskDirectory.of(directory.path.parent, task.continues)
        # An attempt without a result may still be running and keeps its checkpoint.
        if before.result() is not None:
            with contextlib.suppress(FileNotFoundError):
                before.checkpoint.rename(directory.checkpoint)
    directory.checkpoint.mkdir(exist_ok=True)


class TaskStore:
    """The store that a task's inputs come from and its outputs go to."""

    def __init__(self, task: StageTask) -> None:
        self._task = task
        self._opening: Future[Store] | None = None

    def begin_to_open(self) -> Future[Store]:
        """Open it in a thread: a client of S3 takes a tenth of a second to import, as long as a container to start."""
        if self._opening is None:
            thread = ThreadPoolExecutor(1, thread_name_prefix="store")
            self._opening = thread.submit(open_store, self._task.store_url, self._task.s3_endpoint)
            thread.shutdown(wait=False)
        return self._opening

    def opened(self) -> Store:
        """The store. Raises StoreError if its URL is invalid."""
        return self.begin_to_open().result()


class Views:
    """Read-only directories with files of the store."""

    def __init__(self, store: TaskStore, directory: TaskDirectory, cache_dir: Path, announce: Announce) -> None:
        self._store = store
        self._announce = announce
        self._place = directory.work / "views"
        self._cache = NodeCache(cache_dir, int(Space.at(directory.path).total_bytes * CACHE_SHARE))

    def of(self, manifest: Manifest, name: str) -> Path:
        """The directory with the manifest's files. `name` appears in the status while they are fetched."""
        progress = TransferProgress(f"fetching {name}", manifest.size_bytes, self._announce)
        view = partial(self._cache.view, self._store.opened(), manifest, self._target(name), progress.moved)
        return retried(view, self._announce)

    def changed(self, task: StageTask) -> str:
        """What the stage has changed in its inputs, although they are read-only; empty if nothing."""
        for name, manifest in named_inputs(task).items():
            try:
                self._cache.require_unchanged(self._store.opened(), manifest, self._target(name))
            except StoreError as error:
                return f"the stage changed its {name}, which it must only read: {error}"
        return ""

    def _target(self, name: str) -> Path:
        return self._place / name.replace(" ", "-")


def named_inputs(task: StageTask) -> dict[str, Manifest]:
    """Everything that the stage reads, under the names that people see."""
    return {
        **{f"input {name}": manifest for name, manifest in task.inputs.items()},
        **{f"resource {name}": manifest for name, manifest in task.resources.items()},
    }


class TransferProgress:
    """Announces the progress of a transfer, about once a second. `moved` may be called from any thread."""

    def __init__(self, what: str, total_bytes: int, announce: Announce) -> None:
        self._what = what
        self._total = format_size(total_bytes)
        self._announce = announce
        self._lock = threading.Lock()
        self._moved_bytes = 0
        self._announced_at = time.monotonic()

    def moved(self, more_bytes: int) -> None:
        """Count bytes. Raises what `announce` raises, which ends the transfer."""
        with self._lock:
            self._moved_bytes += more_bytes
            now = time.monotonic()
            if now - self._announced_at < 1:
                return
            self._announced_at = now
            text = f"{self._what}: {format_size(self._moved_bytes)} of {self._total}"
        self._announce(text)
