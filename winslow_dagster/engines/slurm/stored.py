"""What servings of a task leave in the store beside their outputs and logs.

Functions that take a serving take the task as that works on it: its addresses are its own.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from winslow_dagster.engines.slurm.ledger import of_serving
from winslow_dagster.stages.task.model import StageResult, StageTask
from winslow_dagster.storage.factory import open_store
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.store import Store

RESULT = "result.json"


def store_result(serving: StageTask, result: StageResult) -> None:
    """Leave the result for a control plane that is away. Raises StoreError."""
    with TemporaryDirectory(prefix="winslow-result-") as directory:
        Path(directory, RESULT).write_text(result.model_dump_json(), encoding="utf-8")
        _store(serving).commit_tree(Path(directory), _result_address(serving))


def stored_result(serving: StageTask) -> StageResult | None:
    """The result that a serving left; None if it has left none. Raises StoreError."""
    store = _store(serving)
    manifest = store.manifest(_result_address(serving))
    if manifest is None:
        return None
    (entry,) = manifest.files
    return StageResult.model_validate_json(store.read_range(manifest, entry, 0, entry.size_bytes))


def store_checkpoint(serving: StageTask, checkpoint: Path) -> Manifest:
    """Store what a later attempt needs to continue. Raises StoreError."""
    return _store(serving).commit_tree(checkpoint, _checkpoint_address(serving), keep_source=True)


def fetch_checkpoint(task: StageTask, manifest: Manifest, target: Path) -> None:
    """Bring a stored checkpoint to this node, as the new directory `target`. Raises StoreError, OSError."""
    draft = target.with_name(f".{target.name}.draft")
    store = _store(task)
    for entry in manifest.files:
        file = draft / entry.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        store.fetch_file(manifest, entry, file)
    draft.mkdir(exist_ok=True)
    draft.rename(target)


def remove_unused(task: StageTask, result: StageResult, servings: int) -> None:
    """Delete what replaced servings stored, and what only a running task needs. Raises StoreError."""
    store = _store(task)
    kept = {manifest.address for manifest in (result.outputs, result.log_manifest) if manifest is not None}
    for number in range(1, servings + 1):
        own = of_serving(task, number)
        for address in {own.output_address, own.log_address, _result_address(own), _checkpoint_address(own)} - kept:
            store.delete_tree(address)


def _result_address(serving: StageTask) -> str:
    return f"{serving.output_address}-result"


def _checkpoint_address(serving: StageTask) -> str:
    return f"{serving.output_address}-checkpoint"


def _store(task: StageTask) -> Store:
    return open_store(task.store_url, task.s3_endpoint)
