"""The tags of jobs and runs, for display and routing; never the only record of a fact. `PROJECT_TAG` is beside the
client that launches runs.
"""

PIPELINE_NAME = "winslow/pipeline"
PIPELINE_DIGEST = "winslow/pipeline_digest"
QUEUE = "winslow/queue"
STAGE = "winslow/stage"
