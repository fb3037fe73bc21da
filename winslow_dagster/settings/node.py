"""What a node needs to run stages."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class NodeSettings(BaseModel):
    """What a node needs to run stages. A stage runner receives it together with its task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    node_dir: Path = Field(
        description="The node's directory for task directories, cached inputs and GPU leases. Must be one file system."
    )
    node_tags: tuple[str, ...] = Field(
        default=(),
        description="Tags of this node, separated by commas. A stage with `node_tags` runs only on a node that has all "
        "of them.",
    )

    @property
    def tasks_dir(self) -> Path:
        """One directory per stage attempt."""
        return self.node_dir / "tasks"

    @property
    def cache_dir(self) -> Path:
        """The content-addressed cache of inputs."""
        return self.node_dir / "cache"

    @property
    def gpus_dir(self) -> Path:
        """GPU leases, and the queue for them."""
        return self.node_dir / "gpus"
