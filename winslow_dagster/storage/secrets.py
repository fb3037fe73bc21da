"""Secrets of an installation: one file each, which only its user can read.

No other place has a value in clear: requests, tables and tasks have references. The files are as safe as an SSH key in
the home of a user: not encrypted, because whatever can start a stage can decrypt them.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from winslow_dagster.actions import Action
from winslow_dagster.errors import InputRejected, NotFound
from winslow_dagster.pipelines.substitution import LONGEST_VALUE
from winslow_dagster.pipelines.variables import STORED_NAME

SHORTEST = 8
"""Characters. Shorter values would occur in logs by chance, and could be guessed from their digests."""
KEY = ".key"
DIGEST_DIGITS = 16


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """A secret without its value."""

    name: str
    set_at: datetime


def require_value(name: str, value: str) -> None:
    """Raise InputRejected if a value cannot be stored."""
    if len(value) < SHORTEST or "\0" in value or len(value.encode()) > LONGEST_VALUE:
        raise InputRejected(
            f"the value has {len(value)} characters" + (", one of them NUL" if "\0" in value else ""),
            where=f"secret {name}",
            expected=f"at least {SHORTEST} characters without NUL, at most {LONGEST_VALUE} bytes",
            remedy="Shorter values cannot be masked in logs",
        )


@dataclass(frozen=True, slots=True)
class SecretStore:
    """The secrets in `directory`, which is created with the first one."""

    directory: Path

    def secrets(self) -> tuple[StoredSecret, ...]:
        """All secrets by name."""
        paths = sorted(self.directory.glob("[!.]*")) if self.directory.exists() else ()
        return tuple(
            StoredSecret(path.name, datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(microsecond=0))
            for path in paths
        )

    def set(self, name: str, value: str) -> None:
        """Store a secret, or replace its value. Raises InputRejected."""
        if not re.fullmatch(STORED_NAME, name) or name.startswith("."):
            raise InputRejected(
                f"{name!r} is not a valid name of a secret", expected="letters, digits and _ . -, at most 200"
            )
        require_value(name, value)
        self._write(self.directory / name, value.encode())

    def value(self, name: str) -> str:
        """The value of a secret. Raises NotFound."""
        self.require([name])
        return (self.directory / name).read_bytes().decode()

    def require(self, names: Collection[str], where: str = "") -> None:
        """Raise NotFound if one of these secrets is not stored."""
        for name in names:
            if not re.fullmatch(STORED_NAME, name) or not (self.directory / name).is_file():
                raise NotFound(
                    f"the secret {name} is not stored", where=where, remedy=Action("set_secret", {"secret": name})
                )

    def remove(self, name: str) -> None:
        """Delete a secret. Raises NotFound."""
        self.require([name])
        (self.directory / name).unlink()

    def digest(self, value: str) -> str:
        """Equal for equal values; without the key of this installation it reveals nothing about them."""
        return hmac.new(self._key(), value.encode(), hashlib.sha256).hexdigest()[:DIGEST_DIGITS]

    def digest_of(self, name: str) -> str:
        """The digest of a secret's value; empty if it is not stored."""
        try:
            return self.digest(self.value(name))
        except NotFound:
            return ""

    def _key(self) -> bytes:
        path = self.directory / KEY
        if not path.exists():
            self._write(path, secrets.token_bytes(32), replace=False)
        return path.read_bytes()

    def _write(self, path: Path, content: bytes, *, replace: bool = True) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                draft.replace(path)
            else:
                with contextlib.suppress(FileExistsError):
                    path.hardlink_to(draft)
        finally:
            draft.unlink(missing_ok=True)
