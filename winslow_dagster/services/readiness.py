"""Whether the services answer, checked from outside."""

from __future__ import annotations

import json
import socket
import urllib.request
from pathlib import Path
from typing import Any

TIMEOUT_S = 10.0
LOCATIONS = "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } } }"


def listens(unix_socket: Path) -> bool:
    """Whether a process accepts connections there. The file alone proves nothing: a killed process leaves it."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(unix_socket))
        except OSError:
            return False
    return True


def pipelines_loaded(address: str) -> bool:
    """Whether the web server at `address` answers and has loaded the pipelines."""
    try:
        answer = ask(address, LOCATIONS)
    except (OSError, ValueError):
        return False
    entries = answer["data"]["workspaceOrError"].get("locationEntries", [])
    kinds = [(entry["locationOrLoadError"] or {}).get("__typename") for entry in entries]
    return bool(kinds) and all(kind == "RepositoryLocation" for kind in kinds)


def skip_welcome(address: str) -> None:
    """Mark Dagit's welcome dialog, which covers the page and asks for a mail address, as seen."""
    ask(address, "mutation { setNuxSeen }")


def ask(address: str, query: str) -> Any:
    """Send one GraphQL query to the web server. Raises OSError or ValueError if it does not answer."""
    request = urllib.request.Request(  # noqa: S310  # an http URL of this machine
        f"{address}/graphql",
        data=json.dumps({"query": query}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310  # as above
        return json.load(response)
