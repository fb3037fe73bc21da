"""What to do about an image that is not on a machine."""

from __future__ import annotations

BUILT_HERE = {
    "winslow/tracker-application": "Run `make images` in the source tree",
    "winslow/java-tracker": "Build it from your program (docs/java.md says how)",
}
"""Images that are in no registry, by their names without tags."""


def built_here(image: str) -> bool:
    """Whether the image is one of ours, which no registry has."""
    return image.partition(":")[0] in BUILT_HERE


def how_to_get(image: str) -> str:
    """How to get the image onto a machine."""
    own = BUILT_HERE.get(image.partition(":")[0])
    return own or f"Build it with `docker build -t {image} DIRECTORY`, or pull it with `docker pull {image}`"


def how_to_copy(image: str, node: str) -> str:
    """How to get the image onto a node of a cluster, which may be unable to pull or build it."""
    return f"Copy it from a machine that has it: `docker save {image} | ssh {node} docker load`"
