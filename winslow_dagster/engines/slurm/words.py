"""Slurm's words for why a job waits, as people say it."""

from __future__ import annotations

from winslow_dagster.engines.slurm.job_queue import Job

REASONS = {
    "None": "waits for Slurm's next look at the queue",
    "Resources": "waits for room: other jobs use what it asks for",
    "Priority": "waits for jobs that come before it",
    "Dependency": "waits until its earlier job is gone",
    "BeginTime": "waits for its earliest start",
    "JobHeldAdmin": "was held by an administrator of Slurm: scontrol release {job}",
    "JobHeldUser": "was held: scontrol release {job}",
    "ReqNodeNotAvail": "waits for nodes that are down, drained or reserved",
    "BadConstraints": "no node has what it asks for",
    "PartitionDown": "waits: its partition is down",
    "PartitionInactive": "waits: its partition is not active",
    "PartitionTimeLimit": "asks for more time than its partition allows",
    "PartitionNodeLimit": "asks for more nodes than its partition allows",
    "Licenses": "waits for a licence",
    "Reservation": "waits for its reservation",
    "NodeDown": "waits: a node that it needs is down",
}
STATES = {
    "CONFIGURING": "its node {nodes} is being made ready",
    "COMPLETING": "its job is ending on {nodes}",
    "SUSPENDED": "its job was suspended on {nodes}: scontrol resume {job}",
    "STOPPED": "its job was stopped on {nodes}",
    "RUNNING": "its agent starts on {nodes}",
}


def waiting_reason(job: Job) -> str:
    """Why the stage of this job does not run yet, with Slurm's forecast of its start where there is one."""
    if not job.pending:
        return STATES.get(job.state, f"its job is {job.state.lower().replace('_', ' ')} in Slurm").format(
            nodes=job.nodes, job=job.job_id
        )
    word = job.reason.strip("()").split(",")[0]
    known = REASONS.get(word)
    if known is None and word.startswith(("QOS", "Assoc")):
        known = f"waits for a limit of Slurm's accounting ({word})"
    said = (known or f"waits; Slurm says: {word}").format(job=job.job_id)
    forecast = (
        f"; Slurm expects it to start at {job.starts_at.replace('T', ' ')}" if job.starts_at[:1].isdigit() else ""
    )
    return f"{said}{forecast} (job {job.job_id})"
