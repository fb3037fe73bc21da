"""What goes wrong between us and an S3 server, whichever client tells it, as a StoreError a person can act on."""

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
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN where one is used).",
)
PASSING = frozenset({"InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout", "500", "502", "503", "504"})
EXPLANATIONS = {
    "NoSuchBucket": ("there is no such bucket", "Make the bucket, or correct WINSLOW_STORE_URL."),
    "NoSuchKey": ("the object is not there", "It was deleted or never committed: run the stage again."),
    "InvalidAccessKeyId": NOT_ACCEPTED,
    "SignatureDoesNotMatch": NOT_ACCEPTED,
    "InvalidToken": NOT_ACCEPTED,
    "ExpiredToken": NOT_ACCEPTED,
    "403": NOT_ACCEPTED,
    "AccessDenied": (
        "the credentials may not do this",
        "The key needs to be allowed to read, write, delete and list in this bucket.",
    ),
    "404": ("something answers, but not as an S3 server does", "Correct WINSLOW_S3_ENDPOINT."),
}


@dataclass(frozen=True, slots=True)
class S3Place:
    """The bucket an error is about, and the server that has it (None: AWS)."""

    bucket: str
    endpoint: str | None

    @property
    def server(self) -> str:
        """The server in words."""
        return self.endpoint or "AWS S3"

    def explain(self, key: str, error: Exception) -> StoreError:
        """The StoreError that says what the failure of a request for `key` means."""
        where = f"s3://{self.bucket}/{key} at {self.server}"
        code = error_code(error)
        if code in PASSING or (code is None and not isinstance(error, NoCredentialsError)):
            return StoreUnreachable(
                f"the server does not answer: {code or first_line(error)}",
                where=where,
                remedy="Check that it runs and that WINSLOW_S3_ENDPOINT is right; what was begun can be done again.",
            )
        if code in EXPLANATIONS:
            what, remedy = EXPLANATIONS[code]
            return StoreError(f"{what} ({code})", where=where, remedy=remedy)
        if code:
            return StoreError(f"the server refused: {code}", where=where, remedy="Look at the server's log.")
        return StoreError("there are no credentials for the server", where=where, remedy=NOT_ACCEPTED[1])


@contextmanager
def s3_errors(place: S3Place, key: str) -> Iterator[None]:
    """Turn what either client raises in the block into a StoreError. Errors of the local disk are not for here."""
    try:
        yield
    except (BaseError, BotoCoreError, ClientError, OSError) as error:
        raise place.explain(key, error) from error


def error_code(error: Exception) -> str | None:
    """The code S3 gave for the failure: botocore has it as data, obstore in its text."""
    for candidate in (error, error.__cause__):
        if isinstance(candidate, ClientError):
            return str(candidate.response["Error"].get("Code"))
    found = CODE.search(str(error))
    if found:
        return found.group(1)
    return "404" if isinstance(error, FileNotFoundError) else None


def first_line(error: Exception) -> str:
    """The part of an error's text that is for people."""
    return str(error).split("\n", 1)[0].strip() or type(error).__name__
