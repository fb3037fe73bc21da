"""Random keys, of which only hashes are stored, and passwords."""

from __future__ import annotations

import functools
import secrets
from hashlib import sha256

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from winslow_dagster.errors import InputRejected

KEY_BYTES = 32
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 200
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""OWASP's parameters for one thread: each try takes 19 MiB, so that many at once exhaust nothing."""


def new_key(prefix: str = "") -> str:
    """256 random bits as text. A prefix lets people and scanners recognize what they have found."""
    return prefix + secrets.token_urlsafe(KEY_BYTES)


def hash_of(key: str) -> str:
    """What is stored of a key. Nobody guesses 256 random bits, so that a fast hash is enough."""
    return sha256(key.encode(errors="surrogatepass")).hexdigest()


def hash_password(password: str) -> str:
    """What is stored of a password. Raises InputRejected if it is too short or too long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InputRejected(
            f"the password has {len(password)} characters",
            expected=f"{SHORTEST_PASSWORD} to {LONGEST_PASSWORD}",
            remedy="A few words in a row are easy to remember",
        )
    return HASHER.hash(password.encode(errors="surrogatepass"))


def matches(password_hash: str | None, password: str) -> bool:
    """Whether it is the password. Takes as long where there is none, so that nobody learns who has one."""
    possible = password_hash is not None and len(password) <= LONGEST_PASSWORD
    tried = password[:LONGEST_PASSWORD].encode(errors="surrogatepass")
    try:
        right = HASHER.verify(password_hash or _nobodys_hash(), tried)
    except (VerificationError, InvalidHashError):
        return False
    return right and possible


def outdated(password_hash: str) -> bool:
    """Whether it was made with weaker parameters than today's."""
    return HASHER.check_needs_rehash(password_hash)


@functools.cache
def _nobodys_hash() -> str:
    return HASHER.hash(secrets.token_bytes(KEY_BYTES))
