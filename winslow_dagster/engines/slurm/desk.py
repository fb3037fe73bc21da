"""Where the agents on the nodes report: gives each its order, and mirrors what it says, unless a newer one serves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime

from pydantic import ValidationError

from winslow_dagster.engines.directory_engine import end_without_runner, has_result
from winslow_dagster.engines.slurm.agent_keys import AgentKeys
from winslow_dagster.engines.slurm.ledger import Ledger, ledger_lock, of_serving
from winslow_dagster.engines.slurm.live_files import LiveFiles
from winslow_dagster.engines.slurm.messages import (
    Hello,
    Order,
    Reply,
    Report,
    greeting,
    landed,
    own_version,
    version_said,
)
from winslow_dagster.engines.slurm.mirror import begin_serving, checkpoint_of, is_name_of_serving, write_report
from winslow_dagster.engines.slurm.munge import require_proof
from winslow_dagster.engines.slurm.node_reports import NodeReports
from winslow_dagster.errors import Fenced, NotFound, UsageError
from winslow_dagster.settings import Settings
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import StageStatus, StageTask
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.secrets import SecretStore

REPORTS_PER_S = 40.0
"""Of all agents together: more would cost the control plane more than a tenth of a processor."""
FASTEST_S, SLOWEST_S = 1.0, 15.0
SILENT_S = 60.0
FOLLOWED = "followed"
FOLLOWED_S = 10.0
"""How long after somebody has read a task's log its agent reports every second."""


class Desk:
    """The control plane's end of the connection to agents. Safe for many threads."""

    def __init__(
        self, settings: Settings, keys: AgentKeys, nodes: NodeReports, drain: Callable[[str, str, str], None]
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._nodes = nodes
        self._drain = drain
        self._heard_at_s: dict[str, float] = {}
        self._verbs: dict[str, Callable[[TaskDirectory, int, bytes], Order | Reply]] = {
            "hello": self._greet,
            "report": self._report,
        }

    def require_key(self, task_id: str, submission: int, key: str) -> None:
        """Raise NotLoggedIn unless it is the key of the agent that this submission of the task started."""
        self._keys.require(task_id, submission, key)

    def require_proof(self, task_id: str, submission: int, proof: str) -> None:
        """Raise NotLoggedIn unless it is munge's, of a job that this user has started for this submission."""
        require_proof(proof, greeting(task_id, submission))

    def answer(self, task_id: str, submission: int, verb: str, message: bytes) -> bytes:
        """Do what the message says. Raises Fenced, NotFound for an unknown verb, UsageError for a malformed message."""
        if verb not in self._verbs:
            raise NotFound(f"there is nothing to {verb}", expected=f"one of {', '.join(self._verbs)}")
        directory = TaskDirectory.of(self._settings.node.tasks_dir, task_id)
        try:
            answer = self._verbs[verb](directory, submission, message)
        except ValidationError as error:
            raise UsageError(f"the message cannot be understood: {error}", where=task_id) from error
        except FileNotFoundError as error:
            raise Fenced("the task is not known any more", where=task_id) from error
        return answer.model_dump_json().encode()

    def _greet(self, directory: TaskDirectory, submission: int, message: bytes) -> Order:
        self._require_own_version(message, directory.task_id)
        hello = Hello.model_validate_json(message)
        self._nodes.write_gpus(hello.node, hello.gpus)
        with ledger_lock(directory):
            task, ledger = directory.task(), Ledger.read(directory)
            if task is None or has_result(directory) or ledger.last is None or ledger.last.number != submission:
                raise Fenced("the task has ended, or a newer job serves it", where=directory.task_id)
            if task.gpu is not None and not task.gpu.optional and self._nodes.too_small(hello.node, task.gpu):
                # Nobody knew that before its first agent: from now on, it is left out.
                ledger.changed(last=ledger.last.model_copy(update={"refused": True})).write(directory)
                raise Fenced(f"the GPUs of {hello.node} have too little memory", where=directory.task_id)
            serving = ledger.serving + 1
            try:
                secrets = self._secrets(task)
            except NotFound as error:  # It was removed after the task was submitted.
                end_without_runner(directory, "failed", str(error))
                raise Fenced("the task has ended", where=directory.task_id) from error
            ledger.changed(serving=serving, served=submission, node=hello.node).write(directory)
            begin_serving(directory, ledger.serving)
            LiveFiles(directory).remove()
            directory.write_status(
                StageStatus(
                    task_id=task.task_id,
                    phase="waiting",
                    reason=f"its runner starts on {hello.node}",
                    node=hello.node,
                    updated_at=datetime.now(UTC),
                )
            )
        return Order(
            task=of_serving(task, serving),
            serving=serving,
            key=self._keys.key(task.task_id, submission),
            secrets=secrets,
            checkpoint=self._checkpoint(task, directory),
            cancel=directory.cancel_reason(),
            report_after_s=self._report_after_s(directory),
            forget=tuple(name for name in hello.kept if self._is_over(name, directory.task_id)),
        )

    def _require_own_version(self, message: bytes, task_id: str) -> None:
        """Take a node with another version of Winslow out of the cluster: the task then runs elsewhere."""
        version, node = version_said(message)
        if version != own_version():
            reason = f"it has version {version} of Winslow, and the control plane {own_version()}: install that there"
            self._drain(node, "winslow", reason)
            raise Fenced(f"{node} was drained: {reason}", where=task_id)

    def _report(self, directory: TaskDirectory, submission: int, message: bytes) -> Reply:
        report = Report.model_validate_json(message)
        with ledger_lock(directory):
            ledger = Ledger.read(directory)
            if (report.serving, submission) != (ledger.serving, ledger.served):
                raise Fenced(f"a newer serving ({ledger.serving}) is at work", where=directory.task_id)
            if has_result(directory):
                if report.result is None:
                    raise Fenced("the task has ended", where=directory.task_id)
                return Reply()  # The answer to the first try was lost.
            sizes = write_report(directory, report)
            live = LiveFiles(directory)
            live.take(report.written, report.live)
            if report.result is not None and all(landed(piece, sizes) for piece in report.log):
                directory.write_outcome(report.result)
                directory.finalize()
                self._heard_at_s.pop(directory.task_id, None)
                live.remove()
                return Reply(sizes=sizes)
        if report.node_usage is not None:
            self._nodes.write_usage(ledger.node, report.node_usage)
        return Reply(
            cancel=directory.cancel_reason(),
            wanted=live.wanted(),
            sizes=sizes,
            report_after_s=self._report_after_s(directory),
        )

    def _secrets(self, task: StageTask) -> dict[str, str]:
        store = SecretStore(self._settings.secrets_dir)
        return {name: store.value(found.secret) for name, found in task.secrets.items()}

    def _checkpoint(self, task: StageTask, directory: TaskDirectory) -> Manifest | None:
        own = checkpoint_of(directory)
        if own is not None or task.continues is None:
            return own
        return checkpoint_of(TaskDirectory.of(self._settings.node.tasks_dir, task.continues))

    def _is_over(self, name: str, this_task: str) -> bool:
        """Whether a directory on the node belongs to a serving that was replaced, or to a task that was forgotten."""
        found = is_name_of_serving(name)
        if found is None:
            return False
        newest = Ledger.read(TaskDirectory.of(self._settings.node.tasks_dir, found["task"])).serving
        return found["task"] == this_task or int(found["serving"]) != newest

    def _report_after_s(self, directory: TaskDirectory) -> float:
        """When the agent shall report next: all together, they send REPORTS_PER_S."""
        now_s = time.monotonic()
        self._heard_at_s[directory.task_id] = now_s
        if is_followed(directory):
            return FASTEST_S
        heard = list(self._heard_at_s.items())
        for task_id, at_s in heard:
            if now_s - at_s > SILENT_S:
                self._heard_at_s.pop(task_id, None)
        return min(max(len(heard) / REPORTS_PER_S, FASTEST_S), SLOWEST_S)


def note_follower(directory: TaskDirectory) -> None:
    """Note that somebody reads the task's log now."""
    if directory.path.exists() and not has_result(directory):
        (directory.path / FOLLOWED).touch()


def is_followed(directory: TaskDirectory) -> bool:
    """Whether somebody has read the task's log just now."""
    try:
        age_s = time.time() - (directory.path / FOLLOWED).stat().st_mtime
    except FileNotFoundError:
        return False
    return math.fabs(age_s) < FOLLOWED_S
