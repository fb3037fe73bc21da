"""When the outputs of one attempt may stand for those of another: everything that makes them is the same.

What counts: the image (by digest), the program, its arguments and environment as it sees them, the content of all
inputs, and a keyed digest of each secret. What does not: limits such as memory, where it ran, and the names of project,
run and attempt, unless an argument or a variable holds one. In process mode the program's own files are not compared,
only its command line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from sqlalchemy import select

from winslow_dagster.pipelines import resolve_environment, substitute
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.stages.launchers.docker.spec import PLACES
from winslow_dagster.stages.launchers.stage_variables import planned_variables
from winslow_dagster.stages.task.model import StageTask
from winslow_dagster.storage.manifest import Manifest


def fingerprint(task: StageTask) -> str:
    """Equal for attempts that would make the same outputs in the same image, on any node. Raises VariableMissing."""
    own = planned_variables(task, PLACES)
    env = resolve_environment(task.env_layers, own)
    args = [substitute(arg, env, where=f"argument {arg!r} of stage {task.stage}") for arg in task.args]
    parts = {
        "image": task.image,
        "command": [substitute(word, env, where=f"command of stage {task.stage}") for word in task.command],
        "args": args,
        "env": {name: value for name, value in env.items() if name not in own},
        "secrets": {name: reference.digest for name, reference in env.secrets.items()},
        "gpu": task.gpu is not None,
        "inputs": _content(task.inputs),
        "resources": _content(task.resources),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _content(trees: Mapping[str, Manifest]) -> dict[str, list[tuple[str, str]]]:
    return {name: sorted((file.path, file.blake3) for file in tree.files) for name, tree in trees.items()}


def reusable(database: Database, key: str, image_digest: str | None) -> Attempt | None:
    """The latest attempt, of any project, whose outputs may be taken: its fingerprint and image digest are these."""
    table = schema.attempts
    columns = [table.c[name] for name in Attempt.__dataclass_fields__]
    same_image = table.c.image_digest.is_(None) if image_digest is None else table.c.image_digest == image_digest
    query = (
        select(*columns)
        .where(
            table.c.fingerprint == key,
            table.c.outcome == "succeeded",
            table.c.outputs_removed_at.is_(None),
            same_image,
            schema.of_live_project(table.c.project),
        )
        .order_by(table.c.ended_at.desc(), table.c.task_id)
        .limit(1)
    )
    with database.reading() as connection:
        row = connection.execute(query).mappings().one_or_none()
    return None if row is None else Attempt(**row)


def ended_early(database: Database, project: str, stage: str, key: str) -> str | None:
    """The task id of the project's latest attempt at the same that ended without success: its checkpoint is of use."""
    table = schema.attempts
    same = (table.c.project == project, table.c.stage == stage, table.c.fingerprint == key)
    query = (
        select(table.c.task_id, table.c.outcome)
        .where(*same, table.c.ended_at.is_not(None))
        .order_by(table.c.started_at.desc(), table.c.task_id.desc())
        .limit(1)
    )
    with database.reading() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None or row.outcome == "succeeded" else str(row.task_id)
