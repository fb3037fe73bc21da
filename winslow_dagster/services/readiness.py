"""Whether the services answer, asked from outside."""

from __future__ import annotations

import json
import socket
import urllib.request
from pathlib import Path

ANSWER_WITHIN_S = 10.0
LOCATIONS = "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } } }"


def listens(unix_socket: Path) -> bool:
    """Whether a process accepts connections there. A file left by a killed one does not count."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(unix_socket))
        except OSError:
            return False
    return True


def pipelines_loaded(address: str) -> bool:
    """Whether the web server at `address` answers and has loaded the pipelines."""
    request = urllib.request.Request(  # noqa: S310  # an http address of this machine
        f"{address}/graphql",
        data=json.dumps({"query": LOCATIONS}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S) as response:  # noqa: S310  # as above
            answer = json.load(response)
    except (OSError, ValueError):
        return False
    entries = answer["data"]["workspaceOrError"].get("locationEntries", [])
    kinds = [(entry["locationOrLoadError"] or {}).get("__typename") for entry in entries]
    return bool(kinds) and all(kind == "RepositoryLocation" for kind in kinds)
