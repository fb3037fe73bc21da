"""The two S3 clients with the same configuration (docs/decisions/0002-bulk-transfer-client.md): obstore transfers
content, and lists; s3fs does the rest (heads, deletes, finds unfinished uploads).
"""

from __future__ import annotations

import math
import os
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import NoCredentialsError
from obstore.store import S3Store as ObjectStore

from winslow_dagster.storage.s3_errors import S3Place

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from botocore.session import Session
    from obstore.store import S3Credential

CREDENTIALS_FOR = timedelta(minutes=15)
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0
REQUEST_TIMEOUT_S = 3600.0
DEFAULT_REGION = "us-east-1"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
FILES = (("AWS_CONFIG_FILE", "~/.aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"))
"""By variable: where botocore finds a region otherwise."""
TEMPORARY = ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_EXPIRATION")


class S3Clients:
    """Both clients for one bucket, created at first use. `patience_s`: how long to wait for a silent server."""

    def __init__(self, place: S3Place, patience_s: float) -> None:
        self._place = place
        self._patience_s = patience_s

    @cached_property
    def _session(self) -> Session:
        # Imported only here: it takes as much processor time as all else that a stage needs of the store.
        from botocore.session import get_session

        return get_session()

    @cached_property
    def _credentials(self) -> Credentials:
        """What botocore finds, as for s3fs: AWS_* variables, a profile, the machine's role."""
        found = self._session.get_credentials()
        if found is None:
            raise self._place.explain("", NoCredentialsError())
        return found

    def _credential(self) -> S3Credential:
        if (keys := keys_of_environment()) is not None:
            return keys
        frozen = self._credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key or "",
            "secret_access_key": frozen.secret_key or "",
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + CREDENTIALS_FOR,  # then obstore asks again; botocore renews them
        }

    @cached_property
    def _region(self) -> str:
        region = os.environ.get("AWS_DEFAULT_REGION")
        if not region and any(Path(os.environ.get(*file)).expanduser().exists() for file in FILES):
            region = self._session.get_config_variable("region")
        return str(region or DEFAULT_REGION)

    @cached_property
    def bulk(self) -> ObjectStore:
        """obstore, for content."""
        _ = self._credential()
        endpoint = self._place.endpoint
        return ObjectStore(
            self._place.bucket,
            config={"endpoint": endpoint} if endpoint else None,
            region=self._region,
            credential_provider=self._credential,
            # With an endpoint, the bucket is part of the path: few servers have a host name per bucket.
            virtual_hosted_style_request=endpoint is None,
            client_options={
                "allow_http": True,
                "connect_timeout": timedelta(seconds=min(CONNECT_TIMEOUT_S, self._patience_s)),
                "read_timeout": timedelta(seconds=min(READ_TIMEOUT_S, self._patience_s)),
                # Of a whole request with its body: generous, because the time without data is limited above.
                "timeout": timedelta(seconds=REQUEST_TIMEOUT_S),
            },
            retry_config={"max_retries": self._attempts, "retry_timeout": timedelta(seconds=self._patience_s)},
        )

    @cached_property
    def metadata(self) -> Any:
        """s3fs, for everything else: its `call_s3` sends any request of the S3 API."""
        from s3fs import S3FileSystem

        _ = self._credentials
        files = S3FileSystem(
            endpoint_url=self._place.endpoint,
            client_kwargs={"region_name": self._region},
            config_kwargs={
                "connect_timeout": min(CONNECT_TIMEOUT_S, self._patience_s),
                "read_timeout": min(READ_TIMEOUT_S, self._patience_s),
                "retries": {"mode": "standard", "total_max_attempts": self._attempts},
                "s3": {"addressing_style": "path" if self._place.endpoint else "auto"},
                # Not all servers know the newer checksum headers.
                "request_checksum_calculation": "when_required",
                "response_checksum_validation": "when_required",
            },
            skip_instance_cache=True,
        )
        files.retries = 1  # botocore retries; multiplied by retries of s3fs, the limit would not hold
        return files

    @property
    def _attempts(self) -> int:
        """The number of attempts that fit into the time: pauses between them double from about a second."""
        return 1 + int(math.log2(max(1.0, self._patience_s)))


def keys_of_environment() -> S3Credential | None:
    """The keys in the environment, which come before all that botocore looks for; None if they are temporary."""
    values = [os.environ.get(name) for name in KEYS]
    if not all(values) or any(os.environ.get(name) for name in TEMPORARY):
        return None
    key_id, secret = map(str, values)
    return {"access_key_id": key_id, "secret_access_key": secret, "expires_at": None}
