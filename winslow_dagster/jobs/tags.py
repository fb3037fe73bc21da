"""The run and job tags Winslow writes. For display and for routing; never the only home of a fact."""

PROJECT = "winslow/project"
PIPELINE_NAME = "winslow/pipeline"
PIPELINE_DIGEST = "winslow/pipeline_digest"
QUEUE = "winslow/queue"
STAGE = "winslow/stage"
