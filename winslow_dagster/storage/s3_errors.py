"""Translates errors of both S3 clients into StoreErrors that a person can act on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from obstore.exceptions import BaseError

from winslow_dagster.errors import StoreError, StoreUnreachable

CODE = re.compile(r"<Code>(\w+)</Code>")
NOT_ACCEPTED = (
    "the server does not accept the credentials",
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN if used).",
)
PASSING = frozenset({"InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout", "500", "502", "503", "504"})
EXPLANATIONS = {
    "NoSuchBucket": ("the bucket does not exist", "Create it, or correct WINSLOW_STORE_URL."),
    "NoSuchKey": ("the object does not exist", "It was deleted or never committed: run the stage again."),
    "InvalidAccessKeyId": NOT_ACCEPTED,
    "SignatureDoesNotMatch": NOT_ACCEPTED,
    "InvalidToken": NOT_ACCEPTED,
    "ExpiredToken": NOT_ACCEPTED,
    "403": NOT_ACCEPTED,
    "AccessDenied": (
        "the credentials do not permit this",
        "Permit them to read, write, delete and list objects in this bucket.",
    ),
    "404": ("the server responds, but is not an S3 server", "Correct WINSLOW_S3_ENDPOINT."),
}


@dataclass(frozen=True, slots=True)
class S3Place:
    """A bucket and its server (None: AWS), as errors name them."""

    bucket: str
    endpoint: str | None

    @property
    def server(self) -> str:
        """The server's name in messages."""
        return self.endpoint or "AWS S3"

    def explain(self, key: str, error: Exception) -> StoreError:
        """The StoreError for the failure of a request for `key`."""
        where = f"s3://{self.bucket}/{key} at {self.server}"
        code = error_code(error)
        if code in PASSING or (code is None and not isinstance(error, NoCredentialsError)):
            return StoreUnreachable(
                f"the server does not respond: {code or first_line(error)}",
                where=where,
                remedy="Check that it is running and that WINSLOW_S3_ENDPOINT is correct, then try again.",
            )
        if code in EXPLANATIONS:
            what, remedy = EXPLANATIONS[code]
            return StoreError(f"{what} ({code})", where=where, remedy=remedy)
        if code:
            return StoreError(f"the server rejected the request: {code}", where=where, remedy="Check the server's log.")
        return StoreError("no credentials for the server are configured", where=where, remedy=NOT_ACCEPTED[1])


@contextmanager
def s3_errors(place: S3Place, key: str) -> Iterator[None]:
    """Turn errors of either client in the block into StoreErrors. The block must not access the local disk."""
    try:
        yield
    except (BaseError, BotoCoreError, ClientError, OSError) as error:
        raise place.explain(key, error) from error


def error_code(error: Exception) -> str | None:
    """The S3 error code: botocore has it as data, obstore in its text."""
    for candidate in (error, error.__cause__):
        if isinstance(candidate, ClientError):
            return str(candidate.response["Error"].get("Code"))
    found = CODE.search(str(error))
    if found:
        return found.group(1)
    return "404" if isinstance(error, FileNotFoundError) else None


def first_line(error: Exception) -> str:
    """The first line of an error's text, which is for people."""
    return str(error).split("\n", 1)[0].strip() or type(error).__name__
