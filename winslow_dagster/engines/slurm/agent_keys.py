"""The keys of agents: each may speak for one submission of one task, and for nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from winslow_dagster.errors import NotLoggedIn

FILE = "agents.key"
KEY_BYTES = 32
ID_DIGITS = 8


class AgentKeys:
    """Made from a secret in the home, which is created when it is first needed."""

    def __init__(self, home: Path) -> None:
        self._file = home / FILE
        self._secret = b""

    @property
    def installation(self) -> str:
        """Tells the jobs of this installation from those of others on the same cluster."""
        return self._digest("installation")[:ID_DIGITS]

    def key(self, task_id: str, submission: int) -> str:
        """The key of the agent that this submission starts."""
        return self._digest(f"{task_id}/{submission}")

    def require(self, task_id: str, submission: int, key: str) -> None:
        """Raise NotLoggedIn unless it is the key."""
        if not hmac.compare_digest(self.key(task_id, submission).encode(), key.encode(errors="surrogatepass")):
            raise NotLoggedIn("the agent's key is not valid", where=task_id)

    def _digest(self, text: str) -> str:
        if not self._secret:
            self._secret = self._read()
        return hmac.new(self._secret, text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()

    def _read(self) -> bytes:
        with contextlib.suppress(FileNotFoundError):
            return self._file.read_bytes()
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_name(f".{FILE}.{secrets.token_hex(8)}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                self._file.hardlink_to(draft)
        finally:
            draft.unlink(missing_ok=True)
        return self._file.read_bytes()
