"""The tags of jobs and runs, for display and routing; never the only record of a fact. `PROJECT_TAG` is beside the
client that launches runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from winslow_dagster.projects.database.runs import UNKNOWN_REQUESTER
from winslow_dagster.projects.domain.actor import Actor, Role
from winslow_dagster.projects.domain.queue_rules import QUEUE_TAG

PIPELINE_NAME = "winslow/pipeline"
PIPELINE_DIGEST = "winslow/pipeline_digest"
QUEUE = QUEUE_TAG
STAGE = "winslow/stage"
ENDED_BEFORE_A_STAGE = {outcome: f"winslow/{outcome}" for outcome in ("awaiting_input", "paused")}
"""Outcome -> tag of a run that ended before a stage. Its value is the reason. Dagster calls such a run a success."""

PERSON = "winslow/person"
ROLE = "winslow/role"
"""Tags of a run that a person started in Dagit: what it may read is decided by its worker."""


def tags_of_person(person: Actor) -> dict[str, str]:
    """The tags of a run that this person starts in Dagit."""
    return {PERSON: person.who, ROLE: person.role or ""}


def person_of(tags: Mapping[str, str]) -> Actor:
    """Who started a run in Dagit. Without the tags it was somebody with the installation's files."""
    if PERSON not in tags:
        return Actor(UNKNOWN_REQUESTER, via=UNKNOWN_REQUESTER)
    role: Role = next((each for each in get_args(Role) if each == tags.get(ROLE)), "viewer")
    return Actor(tags[PERSON], via=UNKNOWN_REQUESTER, role=role)
