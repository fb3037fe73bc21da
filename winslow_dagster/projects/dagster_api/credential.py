"""How programs of an installation prove to its web server that they belong to it.

The supervisor writes a new key into the home at each start. Whoever can read the home can do everything anyway.
"""

from __future__ import annotations

import hmac
import os
from pathlib import Path

from winslow_dagster.settings import Settings


def key_file(settings: Settings) -> Path:
    """Where the key is. Only the user of the services can read it."""
    return settings.home / "services.key"


def write_key(settings: Settings, key: str) -> None:
    """Replace the key."""
    target = key_file(settings)
    draft = target.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(key)
    draft.replace(target)


def read_key(settings: Settings) -> str:
    """The present key; empty if no services have been started."""
    try:
        return key_file(settings).read_text()
    except FileNotFoundError:
        return ""


def is_key(settings: Settings, key: str) -> bool:
    """Whether it is the present key."""
    own = read_key(settings)
    return bool(own) and hmac.compare_digest(own.encode(), key.encode(errors="surrogatepass"))
