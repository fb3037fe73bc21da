"""The tags of jobs and runs, for display and routing; never the only record of a fact. `PROJECT_TAG` is beside the
client that launches runs.
"""

PIPELINE_NAME = "winslow/pipeline"
PIPELINE_DIGEST = "winslow/pipeline_digest"
QUEUE = "winslow/queue"
STAGE = "winslow/stage"
ENDED_BEFORE_A_STAGE = {outcome: f"winslow/{outcome}" for outcome in ("awaiting_input", "paused")}
"""Outcome -> tag of a run that ended before a stage. Its value is the reason. Dagster calls such a run a success."""
